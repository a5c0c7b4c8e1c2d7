"""Language models: one protocol, and what answers it."""

from agentbench_agents.models.errors import (
    ContextLengthError,
    ModelConfigError,
    ModelError,
    ModelProtocolError,
    ModelRequestError,
    ModelUnavailableError,
)
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

__all__ = [
    "Completion",
    "ContextLengthError",
    "FunctionCallDict",
    "FunctionSchema",
    "Message",
    "Model",
    "ModelConfigError",
    "ModelError",
    "ModelProtocolError",
    "ModelRequestError",
    "ModelUnavailableError",
    "Role",
    "Sampling",
    "ToolCall",
    "ToolCallDict",
    "ToolSchema",
    "Usage",
    "model_schemes",
    "open_model",
]
