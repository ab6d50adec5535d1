"""A template for an adapter: copy it, rename it, fill it in.

Try it with `snakepit call snakepit_bridge.adapters.template:TemplateAdapter get_info`.
"""

from snakepit_bridge import BaseAdapter, tool


class TemplateAdapter(BaseAdapter):
    """An adapter: one instance lives in each worker; its calls share the attributes.

    State that must outlive the worker belongs in variables of the session.
    """

    def __init__(self) -> None:
        """Create the instance; keep it cheap."""
        self.ready = False

    async def initialize(self) -> None:
        """Load models, open connections; runs once, may be a plain function."""
        self.ready = True

    async def cleanup(self) -> None:
        """Release what `initialize` acquired; runs once when the worker is shut down."""
        self.ready = False

    @tool
    def get_info(self) -> dict[str, str | bool]:
        """Describe this adapter; the type hints are the schema of the tool."""
        return {"name": type(self).__name__, "ready": self.ready}
