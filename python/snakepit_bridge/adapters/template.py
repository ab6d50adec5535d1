"""A template for an adapter: copy it, rename it, fill it in.

Try it with `snakepit call snakepit_bridge.adapters.template:TemplateAdapter get_info`.
"""

from snakepit_bridge import BaseAdapter, tool


class TemplateAdapter(BaseAdapter):
    """One instance lives in each worker; what it keeps is shared by the calls of that worker.

    What has to outlive the worker belongs into variables of the session.
    """

    def __init__(self) -> None:
        """Called without arguments; keep it cheap."""
        self.ready = False

    async def initialize(self) -> None:
        """Load models, open connections; runs once, may be a plain function."""
        self.ready = True

    async def cleanup(self) -> None:
        """Release what `initialize` took; runs once when the worker is shut down."""
        self.ready = False

    @tool
    def get_info(self) -> dict[str, str | bool]:
        """What this adapter is; its type hints are the schema of the tool."""
        return {"name": type(self).__name__, "ready": self.ready}
