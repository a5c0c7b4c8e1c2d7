"""AIDE: greedy search over programs (arXiv 2502.13138), as settings of `tree`.

Five drafts; then a buggy leaf is fixed with probability 1/2, or else the best program improved; the
best by validation is handed in. Metric and direction are the task's, where AIDE has a model read
both off the output.
"""

from agentbench_agents.agents.tree import TreeAgent


def aide(
    *,
    drafts: int = 5,
    debug_prob: float = 0.5,
    debug_depth: int = 3,
    repairs: int = 2,
    temperature: float | None = 0.5,
    max_tokens: int = 8192,
) -> TreeAgent:
    """Search greedily over programs, as AIDE.

    Args:
        drafts: How many programs to begin with.
        debug_prob: How likely a buggy leaf is fixed rather than the best improved.
        debug_depth: A leaf with more fixes than this behind it is left alone.
        repairs: How often the model may mend an answer that cannot be read.
        temperature: Sampling temperature, or that of the server.
        max_tokens: Longest answer, in tokens.
    """
    params = {"drafts": drafts, "debug_prob": debug_prob, "debug_depth": debug_depth}
    return TreeAgent(
        policy="greedy",
        policy_params=params,
        operators=("draft", "debug", "improve"),
        top_k=1,
        repairs=repairs,
        temperature=temperature,
        max_tokens=max_tokens,
    )
