"""Tokens that show by their form what they are.

The forms follow the rules of gitleaks; minimum lengths are a little shorter than what the issuers
use today. Each pattern begins with its literal, so that most texts are searched for literals alone.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import Pattern

_FORMS = (
    # OpenAI, Anthropic, OpenRouter
    ("sk-", "[A-Za-z0-9_-]{8,}"),
    # Stripe
    ("sk_", "(?:live|test|prod)_[A-Za-z0-9]{10,}"),
    ("rk_", "(?:live|test|prod)_[A-Za-z0-9]{10,}"),
    ("whsec_", "[A-Za-z0-9+/]{20,}"),
    # GitHub
    ("gh", "[oprsu]_[A-Za-z0-9]{20,}"),
    ("github_pat_", "[A-Za-z0-9_]{20,}"),
    # GitLab
    (
        "gl",
        "(?:pat|dt|rt|ft|ptt|soat|imt|agent|cbt|oas|ffct|rtr)-[A-Za-z0-9_.-]{16,}",
    ),
    # Hugging Face
    ("hf_", "[A-Za-z0-9]{20,}"),
    ("api_org_", "[A-Za-z0-9]{20,}"),
    # Slack
    ("xox", "[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("xapp-", "[0-9]-[A-Za-z0-9-]{10,}"),
    ("hooks.slack.com/", "(?:services|workflows|triggers)/[A-Za-z0-9+/]{20,}"),
    # Discord
    ("discord", r"(?:app)?\.com/api/webhooks/[0-9]{6,20}/[A-Za-z0-9_-]{20,}"),
    # AWS
    ("A3T", "[A-Z0-9]{17}"),
    ("AKIA", "[A-Z0-9]{16}"),
    ("ASIA", "[A-Z0-9]{16}"),
    ("ABIA", "[A-Z0-9]{16}"),
    ("ACCA", "[A-Z0-9]{16}"),
    ("ABSK", "[A-Za-z0-9+/]{60,}"),
    # Google
    ("AIza", "[A-Za-z0-9_-]{30,}"),
    ("ya29.", "[A-Za-z0-9_-]{20,}"),
    ("GOCSPX-", "[A-Za-z0-9_-]{20,}"),
    # Package registries
    ("npm_", "[A-Za-z0-9]{30,}"),
    ("pypi-", "[A-Za-z0-9_-]{20,}"),
    ("rubygems_", "[a-f0-9]{32,}"),
    # Clouds and hosting
    ("do", "[opr]_v1_[a-f0-9]{32,}"),
    ("dapi", "[a-f0-9]{32}"),
    ("tskey-", "[a-z]{2,12}-[A-Za-z0-9-]{10,}"),
    ("fm1", "[ar]?_[A-Za-z0-9+/_-]{40,}"),
    ("fm2", "[ar]?_[A-Za-z0-9+/_-]{40,}"),
    ("pscale_", "(?:tkn|oauth|pw)_[A-Za-z0-9=._-]{30,}"),
    ("pul-", "[a-f0-9]{40}"),
    ("hvb.", "[A-Za-z0-9_-]{24,}"),
    ("hvs.", "[A-Za-z0-9_-]{24,}"),
    ("dp.pt.", "[A-Za-z0-9]{40,}"),
    # Services
    ("SG.", r"[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    ("shp", "(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}"),
    ("glsa_", "[A-Za-z0-9+/_]{32,}"),
    ("glc_", "[A-Za-z0-9+/_]{32,}"),
    ("lin_api_", "[A-Za-z0-9]{30,}"),
    ("ntn_", "[A-Za-z0-9]{40,}"),
    ("PMAK-", "[a-f0-9-]{40,}"),
    ("sntry", "[su]_[A-Za-z0-9+/=_]{40,}"),
    ("ATATT3", "[A-Za-z0-9_=-]{60,}"),
    ("xkeysib-", "[a-f0-9]{40,}"),
    ("NRAK-", "[A-Z0-9]{20,}"),
    ("gsk_", "[A-Za-z0-9]{30,}"),
    ("r8_", "[A-Za-z0-9]{30,}"),
    ("pplx-", "[A-Za-z0-9]{30,}"),
    ("nvapi-", "[A-Za-z0-9_-]{40,}"),
    ("AGE-SECRET-KEY-1", "[A-Z0-9]{50,}"),
    # JSON Web Tokens, signed and encrypted
    ("eyJ", r"[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*){0,2}"),
)
#: Telegram: the literal is not the beginning.
_TELEGRAM = (":AA", r"(?<![A-Za-z0-9])[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}")
#: Prefixes that begin ordinary names, too: such a token has a digit.
_WITH_DIGIT = ("sk-", "pypi-")

_compiled: "dict[str, Pattern[str]]" = {}


def find(text: str) -> "list[tuple[int, int]]":
    """Return where the tokens of a text are."""
    spans: list[tuple[int, int]] = []
    for literal, rest in _FORMS:
        if literal in text:
            spans += _spans(literal, rest, text)
    literal, pattern = _TELEGRAM
    if literal in text:
        spans += _spans(literal, pattern, text)
    return spans


def _spans(literal: str, rest: str, text: str) -> "list[tuple[int, int]]":
    pattern = _compiled.get(literal)
    if pattern is None:
        import re

        # A form that may fail late begins once in a run of its characters, for linear time.
        before = "A-Za-z0-9_-" if literal == "eyJ" else "A-Za-z0-9"
        whole = rest if literal == ":AA" else f"(?<![{before}]){re.escape(literal)}{rest}"
        pattern = _compiled[literal] = re.compile(whole)
    found = [match.span() for match in pattern.finditer(text)]
    if literal in _WITH_DIGIT:
        found = [span for span in found if any(map(str.isdigit, text[span[0] : span[1]]))]
    return found
