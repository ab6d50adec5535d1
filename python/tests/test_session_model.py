"""Variables seen by two contexts, with their caches, against a plain dict."""

from typing import ClassVar

from host_model import FakeContext, Host
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from test_session_variables import Clock

from snakepit_bridge import SessionContext
from snakepit_bridge._host.errors import UnknownVariableError
from snakepit_bridge._session import cache as cache_module


class Model(RuleBasedStateMachine):
    """Two contexts of one session; with a cache of its own each sees its own writes at once."""

    names = st.sampled_from(["a", "b", "c"])
    who = st.integers(0, 1)
    kinds: ClassVar = {"a": "integer", "b": "float", "c": "embedding"}
    values: ClassVar = {
        "a": st.integers(-9, 9),
        "b": st.one_of(st.integers(-9, 9), st.floats(-9, 9)),
        "c": st.lists(st.floats(-9, 9), min_size=1, max_size=3),
    }

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.kept = cache_module.monotonic
        cache_module.monotonic = self.clock
        host = Host()
        self.contexts = [SessionContext(FakeContext(host, worker_id=w)) for w in ("w1", "w2")]
        self.truth = {}
        #: What a context may still see of a name: (value, until) for values that were replaced.
        self.old = [{}, {}]

    def teardown(self):
        cache_module.monotonic = self.kept

    def changed(self, who, name, value):
        for index in (0, 1):
            if index == who:
                self.old[index].pop(name, None)
            elif name in self.truth or name in self.old[index]:
                past = self.old[index].setdefault(name, [])
                past.append((self.truth.get(name), self.clock.now + 5))
        if value is None:
            self.truth.pop(name, None)
        else:
            self.truth[name] = value

    @rule(who=who, name=names, data=st.data())
    def set(self, who, name, data):
        value = data.draw(self.values[name])
        known = name in self.truth
        try:
            self.contexts[who].set_variable(name, value)
        except UnknownVariableError:
            assert not known
            self.contexts[who].register_variable(name, self.kinds[name], value)
        else:
            assert known
        self.changed(who, name, value)

    @rule(who=who, name=names)
    def delete(self, who, name):
        known = name in self.truth
        assert self.contexts[who].delete_variable(name) is known
        if known:
            self.changed(who, name, None)

    @rule(who=who, name=names)
    def read(self, who, name):
        got = self.contexts[who].get_variable(name, default=None)
        allowed = [self.truth.get(name)]
        allowed += [v for v, until in self.old[who].get(name, []) if until > self.clock.now]
        assert got in allowed

    @rule(who=who, name=names)
    def refresh(self, who, name):
        self.contexts[who].invalidate(name)
        self.old[who].pop(name, None)

    @rule(seconds=st.sampled_from([1.0, 4.0, 5.0]))
    def wait(self, seconds):
        self.clock.now += seconds

    @invariant()
    def listed(self):
        assert sorted(self.contexts[0]) == sorted(self.truth)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
