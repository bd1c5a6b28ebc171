# The environment is built in one stage and carried into the next, which has neither pip's cache nor the tools.
FROM python:3.11-slim AS build
WORKDIR /src
COPY .ci/requirements.txt .ci/requirements-dev.txt .ci/
RUN python -m venv /opt/mcp-indexer \
    && /opt/mcp-indexer/bin/pip install --no-cache-dir --require-hashes -r .ci/requirements.txt \
    && python -m venv /opt/tools \
    && /opt/tools/bin/pip install --no-cache-dir --require-hashes -r .ci/requirements-dev.txt
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY indexer indexer
COPY workers workers
RUN /opt/tools/bin/python -m build --wheel --no-isolation --outdir /dist \
    && /opt/mcp-indexer/bin/pip install --no-cache-dir --no-deps --no-index /dist/*.whl

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/mcp-indexer --create-home mcp-indexer
COPY --from=build /opt/mcp-indexer /opt/mcp-indexer
ENV PATH="/opt/mcp-indexer/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    MCP_INDEXER_HOME=/var/lib/mcp-indexer
USER mcp-indexer
WORKDIR /var/lib/mcp-indexer
VOLUME /var/lib/mcp-indexer
ENTRYPOINT ["mcp-indexer"]
