"""Secrets in texts that leave the worker: messages of exceptions, `repr`s of values.

Best effort: it knows the usual shapes of secrets, and a text may hold others. Every pattern takes
time linear in the text: it comes from anywhere.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import Match

MASK = "<redacted>"
#: After a bare `token:` a shorter quoted word is prose, as in `unexpected token: '}'`.
_MIN_AFTER_COLON = 6

_KEY = (
    r"(?<![a-z0-9])(?:[a-z0-9]{1,40}[_-]){0,4}"
    r"(?:api[_-]?key|access[_-]?key|private[_-]?key|secret[_-]?key|secret"
    r"|token|password|passwd|pwd|credentials?)"
)


class _Patterns:
    """The shapes of secrets, made when the first text comes: a worker's start needs none."""

    def __init__(self) -> None:
        import re

        # `"api_key": "…"`, `token='…'`, with quotes around the key or without.
        self.quoted = re.compile(
            rf"(?P<head>(?P<q>\\?[\"']?){_KEY}(?P=q)\s{{0,8}}(?P<sign>[:=])\s{{0,8}}b?)"
            r"(?P<open>\\?[\"'])(?P<value>(?:(?!(?P=open)).)*)(?P<close>(?P=open)|$)",
            re.IGNORECASE | re.DOTALL,
        )
        # `password=…` without quotes; names in source lines have no digits, most secrets have.
        self.bare = re.compile(
            rf"(?P<head>{_KEY}(?:=|:\s{{0,8}}))"
            r"(?P<value>(?=[^\s\"',;&)}\]<(]{0,99}[0-9])[^\s\"',;&)}\]<(]{6,})",
            re.IGNORECASE,
        )
        self.authorization = re.compile(
            r"(?P<head>authorization[\"']?\s{0,8}[:=]\s{0,8}[\"']?(?:(?:bearer|basic|token|digest)\s+)?)"
            r"(?P<value>[^\s\"',;)}\]<]{4,})",
            re.IGNORECASE,
        )
        self.bearer = re.compile(
            r"(?P<head>\bbearer\s{1,8})(?P<value>[A-Za-z0-9._~+/=-]{8,})", re.IGNORECASE
        )
        # Tokens that show by their form what they are: of OpenAI, GitHub, GitLab, Hugging Face,
        # Slack and AWS, and JSON Web Tokens.
        self.token = re.compile(
            r"(?P<head>\b)(?P<value>sk-[A-Za-z0-9_-]{8,}|gh[oprsu]_[A-Za-z0-9]{20,}"
            r"|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{20,}"
            r"|xox[abeoprs]-[A-Za-z0-9-]{10,}|A[KS]IA[A-Z0-9]{16}"
            r"|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)"
        )
        # `https://user:password@host`
        self.url = re.compile(
            r"(?P<head>\b[a-z][a-z0-9+.-]{0,20}://[^\s/:@\"']{0,200}:)"
            r"(?P<value>[^\s/@\"']{1,200})(?=@)",
            re.IGNORECASE,
        )

        # The lines of a private key between its marks; what was cut off may have had the first.
        self.pem = re.compile(
            r"(?P<head>-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)(?P<value>.+?)(?=-----END|\Z)",
            re.DOTALL,
        )
        self.pem_end = re.compile(r"-----END [A-Z ]{0,40}PRIVATE KEY-----")
        # `curl -u user:password`, also as a list of arguments.
        self.user = re.compile(
            r"(?P<head>[\s\"'](?:-u|--user)(?:[\"'],\s{0,4}|\s{1,8}|=)[\"']?[^\s:/\"']{1,200}:)"
            r"(?P<value>[^\s\"']{1,200})"
        )


_patterns: "list[_Patterns]" = []

#: What a text must have for a pattern to find anything, in lower case: looking for these words is
#: twenty times quicker than the pattern.
_KEYS = ("key", "secret", "token", "passw", "pwd", "credential")
_TOKENS = (
    *("sk-", "gho_", "ghp_", "ghr_", "ghs_", "ghu_", "github_pat_", "glpat-", "hf_", "xox"),
    *("akia", "asia", "eyj"),
)


def _mask(match: "Match[str]") -> str:
    return match["head"] + MASK


#: Characters between the marks of a private key.
_OF_KEYS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\\ \r\n"


def _mask_cut_key(text: str, mark: "Match[str] | None") -> str:
    """Mask the lines before the end mark of a private key whose first mark is missing."""
    if mark is None:
        return text
    before = text[: mark.start()]
    kept = before.rstrip(_OF_KEYS)
    if len(before) - len(kept) < 16:
        return text
    return f"{kept}{MASK}\n{text[mark.start() :]}"


def _mask_quoted(match: "Match[str]") -> str:
    prose = not match["q"] and match["sign"] == ":" and len(match["value"]) < _MIN_AFTER_COLON
    if prose or not match["value"]:
        return match[0]
    return match["head"] + match["open"] + MASK + match["close"]


def redact_secrets(text: str) -> str:
    """The text with what looks like a secret replaced by `<redacted>`."""
    plain = text.lower()
    keys = any([word in plain for word in _KEYS])
    tokens = any([word in plain for word in _TOKENS])
    user = "-u" in plain
    url = "://" in plain
    bearer = "bearer" in plain
    authorization = "authorization" in plain
    if not (keys or tokens or user or url or bearer or authorization):
        return text
    if not _patterns:
        _patterns.append(_Patterns())
    known = _patterns[0]
    if "private key-----" in plain:
        text = known.pem.sub(_mask, text)
        text = _mask_cut_key(text, known.pem_end.search(text))
    if bearer:
        text = known.bearer.sub(_mask, text)
    if authorization:
        text = known.authorization.sub(_mask, text)
    if keys:
        text = known.quoted.sub(_mask_quoted, text)
        text = known.bare.sub(_mask, text)
    if tokens:
        text = known.token.sub(_mask, text)
    if user:
        text = known.user.sub(_mask, text)
    return known.url.sub(_mask, text) if url else text
