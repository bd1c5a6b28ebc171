"""The sample registry and the crawl loop, driven together in any order: what is upstream is what we say is there."""
