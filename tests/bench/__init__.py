"""The benchmark: how long, how much memory, beside floors that are measured in the same run.

    python -m tests.bench [--size 20000] [--repeat 3] [--json bench.json] [--database sqlite|postgres] [--case NAME]

Everything runs on this machine and needs no network: a sample registry, Meilisearch and Postgres are processes started
for it. What is measured runs in a process of its own (`tests.bench.child`), timed after imports and wiring.
"""
