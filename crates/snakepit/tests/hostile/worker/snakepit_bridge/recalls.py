"""Bad answers to the recall of calls that were sent ahead."""

from .wire import MODE, NIL, RECALLED, RESULT, frame, number

HUGE = 2**64 - 1
GOOD = 200
_answered = 0
_link = None


def _short_calls(link, call):
    """Answers at once, so that calls are sent ahead, and then stops answering."""
    global _answered, _link
    _link = link
    _answered += 1
    if _answered <= GOOD:
        link.sendall(frame(RESULT, call, b"", NIL))


recall_never_answered = recall_answered_twice = recall_of_other_calls = recall_answered_with_nonsense = _short_calls


def answer(channel, call):
    back = frame(RECALLED, call, number(1, 1))
    if MODE == "recall_answered_twice":
        channel.sendall(back * 2)
        _link.sendall(frame(RESULT, call, b"", NIL))
    elif MODE == "recall_of_other_calls":
        for other in (0, call + 1, max(call - 1, 0), HUGE):
            channel.sendall(frame(RECALLED, other, number(1, 1)))
        channel.sendall(back)
    elif MODE == "recall_answered_with_nonsense":
        channel.sendall(frame(RECALLED, call, b"\xff" * 1000, b"body"))
