"""When and where we look: adapters, the crawl loop, the commands."""
