"""Errors of the development node.

DevNodeError
├── JavaNotFoundError     no JDK of a version that OpenSearch 3 runs on
├── MavenError            Maven is missing, or could not resolve or build
├── LayoutError           what Maven resolved is not a whole server
├── PluginError           a plugin zip is damaged, unsafe, or built for another OpenSearch
└── NodeError             an instance's state forbids the command
    └── NodeStartError    the node ended, or did not answer in time
"""


class DevNodeError(Exception):
    """Base of all; its text is one message for a person."""


class JavaNotFoundError(DevNodeError):
    """No JDK of a version that OpenSearch 3 runs on."""


class MavenError(DevNodeError):
    """Maven is missing, or could not resolve or build."""


class LayoutError(DevNodeError):
    """What Maven resolved is not a whole server."""


class PluginError(DevNodeError):
    """A plugin zip is damaged, unsafe, or built for another OpenSearch."""


class NodeError(DevNodeError):
    """An instance's state forbids the command."""


class NodeStartError(NodeError):
    """The node ended or did not answer in time; the message holds its last log lines."""
