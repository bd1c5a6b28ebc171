"""The search index's settings. They are code: a change of them is a rebuild."""

import hashlib
import json
from typing import Any

SETTINGS: dict[str, Any] = {
    "searchableAttributes": ["label", "title", "publisher", "description", "name", "package_identifiers"],
    "filterableAttributes": [
        *("id", "name", "namespace", "publisher", "aliases", "version", "status", "valid", "problems"),
        *("registry_types", "transports", "package_identifiers", "remote_hosts", "requires_secrets", "has_remote"),
        *(
            "has_package",
            "sources",
            "source_count",
            "repository.url",
            "repository.source",
            "topics",
            "license",
            "stars",
        ),
        *("archived", "pushed_at", "published_at", "updated_at", "first_seen_at", "position"),
    ],
    "sortableAttributes": [
        *("id", "name", "position", "published_at", "updated_at", "first_seen_at", "pushed_at", "stars"),
        *("source_count", "version_count"),
    ],
    "stopWords": ["mcp", "server", "servers"],
    "synonyms": {
        "postgres": ["postgresql"],
        "postgresql": ["postgres"],
        "k8s": ["kubernetes"],
        "kubernetes": ["k8s"],
        "gdrive": ["google drive"],
        "google drive": ["gdrive"],
        "gcal": ["google calendar"],
        "google calendar": ["gcal"],
        "ms teams": ["microsoft teams"],
        "microsoft teams": ["ms teams"],
        "mongo": ["mongodb"],
        "mongodb": ["mongo"],
        "es": ["elasticsearch"],
        "gh": ["github"],
        "vscode": ["visual studio code"],
        "visual studio code": ["vscode"],
    },
    "typoTolerance": {"disableOnAttributes": ["name", "package_identifiers"]},
    "faceting": {"maxValuesPerFacet": 200},
}


def settings_fingerprint() -> str:
    """What the index depends on besides its documents."""
    return hashlib.sha256(json.dumps(SETTINGS, sort_keys=True).encode()).hexdigest()[:32]
