"""Prices and windows from the table inside genai-prices: offline, and unknown is ``None``."""

from dataclasses import replace

from agentbench_agents.models.model import Usage


def with_cost(usage: Usage, *, model: str, url: str) -> Usage:
    """The usage with its list price in US dollars.

    The provider is recognised by its address, so that a local server that calls its model
    ``gpt-5`` is not billed. Whatever the table does not know, costs ``None``.

    Args:
        usage: Tokens of one completion.
        model: The model's name at the provider.
        url: The provider's base URL.
    """
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return usage
    try:
        from genai_prices import Usage as PricedUsage
        from genai_prices import calc_price
    except ImportError:
        return usage
    priced = PricedUsage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cache_read_tokens=usage.cached_tokens,
    )
    try:
        cost = calc_price(priced, model, provider_api_url=url).total_price
    except (LookupError, ValueError):
        return usage
    return replace(usage, cost_usd=float(cost))


def known_window(*, model: str, url: str) -> int | None:
    """Tokens that a provider's model can read and write, where the table knows.

    Args:
        model: The model's name at the provider.
        url: The provider's base URL.
    """
    try:
        from genai_prices.data_snapshot import get_snapshot
    except ImportError:
        return None
    try:
        _, found = get_snapshot().find_provider_model(model, None, None, url)
    except LookupError:
        return None
    return found.context_window
