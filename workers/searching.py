"""Searches the index for a person: a server's whole name finds it first."""

from typing import Any

from indexer.search import SearchIndex
from schemas.names import ServerName, document_id

Json = dict[str, Any]


def search_index(index: SearchIndex, query: str, options: Json) -> Json:
    """What the index answers; a server whose whole name is the query comes first.

    A name ends in words that every other name ends in too, so the words alone would not always find it.
    """
    answer = index.search(query, **options)
    hits = answer["hits"]
    if "/" in query and not any(hit["name"] == query for hit in hits[:1]):
        named = f"id = {document_id(ServerName(query))}"  # filters on names take upper and lower case for the same
        wanted = f"({options['filter']}) AND {named}" if options.get("filter") else named
        exact = index.search("", filter=wanted, limit=1)["hits"]
        hits = [*exact, *(hit for hit in hits if hit["name"] != query)][: options["limit"]]
    return {
        "query": query,
        "hits": hits,
        "total": max(answer["estimatedTotalHits"], len(hits)),
        "facets": answer.get("facetDistribution", {}),
    }
