"""The words that generated entries are made of; the bundled entries use none of the handles."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(" ".join(phrase.split()) for phrase in text.split(";"))


FIRST = _words(
    """
    amber birch cobalt copper coral cedar delta dusk ember fern flint frost glade granite harbor hazel heron
    indigo iris ivory jade juniper kelp kestrel lark linen lunar maple marble meadow merlin mossy north oaken
    ochre onyx opal osprey pebble pewter pine plover quartz raven reed river russet saffron sable sierra
    silver slate sorrel spruce stone summit tawny teal thistle tidal umber velvet violet walnut wicker willow
    """
)

SECOND = _words(
    """
    anvil arc barn beacon bench bloom bridge brook cabin cask chart cliff clock cove craft crest dock dome
    field fleet forge forum foundry gate grid grove guild hall hill house hub island kiln lab lake lantern
    ledger loft loom lot mill mint nest orchard path peak pier point port press quay ridge row shed shelf
    shop smith spire square stack station stream studio table terrace tower trail vale vault view wharf works
    yard
    """
)

TOPICS = _words(
    """
    alarm archive audit badge barcode billing bookmark budget calendar canvas catalog census changelog chart
    clause color contact corpus courier dataset deploy diagram dialog expense fable feed fixture flight font
    forecast form gallery garden genome glossary grammar grant harvest invoice itinerary journal kanban label
    lease lesson library lyric mailbox map meeting menu metric mosaic museum outage parcel patent payroll
    photo podcast poll pricing queue quiz quota receipt recipe refund report roster route runbook sample
    schedule score sensor shift signal sketch snippet sprint stock survey syllabus tariff tax ticket tide
    timesheet token track transit translation trial vendor video voucher warranty weather webhook wiki
    """
)

TOOLS = _words(
    """
    agent bridge browser connector finder gateway helper keeper kit lens mcp mcp-server notes pilot planner
    query reader scout sync tools tracker watch writer
    """
)

VERBS = _phrases(
    """
    Look up; Search and compare; Create and update; Summarise; Query; Plan and track; Watch; Collect; Export;
    Ask questions about; Keep notes on; Validate; Convert; Draft and review; List and filter; Reconcile
    """
)

AUDIENCES = _phrases(
    """
    for small teams; from any chat; with a local cache; for on-call engineers; in plain language; with read-
    only access; for harbour offices; for schools; across several accounts; without leaving the editor; for
    field crews; with audit trails; for bookkeepers; over a private network; for researchers; as Markdown
    """
)

SETTINGS = (
    ("API_KEY", "Key of the account that requests are made for", True),
    ("ACCESS_TOKEN", "Personal access token with permission to read", True),
    ("BASE_URL", "Address of the service, where it is hosted by yourself", False),
    ("WORKSPACE_ID", "The workspace that is used when a request names none", False),
    ("CLIENT_SECRET", "Secret of the OAuth client", True),
    ("LOG_LEVEL", "How much is written to the log", False),
    ("TIMEOUT_SECONDS", "How long to wait for an answer before giving up", False),
    ("CACHE_FOLDER", "Folder in which answers are kept between runs", False),
    ("REGION", "The region in which the data is held", False),
    ("PAGE_SIZE", "Results asked for at once", False),
    ("PROXY", "Proxy through which requests go", False),
    ("DATABASE_URL", "Where the local copy is kept", True),
)
