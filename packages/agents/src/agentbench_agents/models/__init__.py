"""Language models: one protocol, and what answers it."""

from agentbench_agents.models.errors import (
    ContextLengthError,
    ModelConfigError,
    ModelError,
    ModelProtocolError,
    ModelRequestError,
    ModelUnavailableError,
)
from agentbench_agents.models.gate import Gate
from agentbench_agents.models.model import (
    Completion,
    FunctionCallDict,
    FunctionSchema,
    Message,
    Model,
    Role,
    Sampling,
    ToolCall,
    ToolCallDict,
    ToolSchema,
    Usage,
)
from agentbench_agents.models.registry import model_schemes, open_model
from agentbench_agents.models.retry import Retry
from agentbench_agents.models.secrets import redact
from agentbench_agents.models.window import WindowedModel

__all__ = [
    "Completion",
    "ContextLengthError",
    "FunctionCallDict",
    "FunctionSchema",
    "Gate",
    "Message",
    "Model",
    "ModelConfigError",
    "ModelError",
    "ModelProtocolError",
    "ModelRequestError",
    "ModelUnavailableError",
    "Retry",
    "Role",
    "Sampling",
    "ToolCall",
    "ToolCallDict",
    "ToolSchema",
    "Usage",
    "WindowedModel",
    "model_schemes",
    "open_model",
    "redact",
]
