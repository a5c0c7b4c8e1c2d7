"""Which row is the state that follows a row.

Every loss of this package works on *rows*. Row `t` is a state s_t: the prefix of tokens up to `t`,
and the logits there are Q(s_t, ·). `targets[t]` is the action taken in it, the next token. Rows of
a batch are counted through the flattened batch, and `successor[t]` names the row of the next state:

    successor[t] >= 0   the row whose value V(s') follows; it need not be scored itself
    TERMINAL  (-1)      the episode ends: V(s') is the terminal value
    UNKNOWN   (-2)      the next state was not observed: the row keeps its likelihood term and has
                        no temporal-difference term

`targets[t] == IGNORE` (-100) marks a row that is not scored. Such a row matters only when it is the
successor of a scored one; it is then *value-only*.

What the rules say, with A for tokens the model writes and u for tokens it reads:

    u u A A A          rows 1 2 3 are scored, successors 2 3 TERMINAL
    u A A u u A A      rows 0 1 4 5 are scored, successors 1 4 5 TERMINAL: what users and tools
                       write is part of the transition, not an action, so after a turn comes the
                       first state of the next turn
    u A A A | (cut)    rows 0 1 2 are scored, successors 1 2 3: row 3 is value-only. A text that was
                       cut goes on, so its end is bootstrapped and never terminal
    u A A u u | (cut)  rows 0 1 are scored, successors 1 UNKNOWN: the next state in which the model
                       would act lies behind the cut

In numbers: where all logits are 0 over two tokens, V = ln 2 and Q = 0, so that a row's r² is ln² 2
if a state follows, 0 if the episode ends with V_term = 0, and left out if the next state is
UNKNOWN. At λ = 1 the losses of the four texts are ln 2 + ln² 2 (2/3, 3/4, 3/3, 1/2), which is
1.013449, 1.053487, 1.173600 and 0.933374.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

IGNORE = -100
TERMINAL = -1
UNKNOWN = -2


@dataclass(frozen=True, slots=True, kw_only=True)
class Transitions:
    """The rows of one sequence.

    Attributes:
        targets: Action of each row, IGNORE where the row is not scored. Shape (T,), int64.
        successor: Row of the next state, TERMINAL or UNKNOWN. Shape (T,), int64.
    """

    targets: Tensor
    successor: Tensor

    def at(self, offset: int) -> "Transitions":
        """Return the same rows, counted from `offset`: how a text is put behind others in a row.

        >>> rows = Transitions(targets=torch.tensor([7, 8]), successor=torch.tensor([1, -1]))
        >>> rows.at(10).successor.tolist()
        [11, -1]
        """
        moved = torch.where(self.successor >= 0, self.successor + offset, self.successor)
        return Transitions(targets=self.targets, successor=moved)

    def without_terminal(self) -> "Transitions":
        """Return the same rows with no temporal-difference term where an episode ends.

        >>> rows = Transitions(targets=torch.tensor([7, 8]), successor=torch.tensor([1, -1]))
        >>> rows.without_terminal().successor.tolist()
        [1, -2]
        """
        unknown = self.successor.masked_fill(self.successor == TERMINAL, UNKNOWN)
        return Transitions(targets=self.targets, successor=unknown)


def next_scored(targets: Tensor) -> Tensor:
    """Return, for each scored row, the next scored row of the same sequence.

    This is the default of every loss. On fully scored rows it is t+1, and TERMINAL at the end:

    >>> next_scored(torch.tensor([[7, 8, 9], [7, -100, 9]])).tolist()
    [[1, 2, -1], [5, -2, -1]]

    Args:
        targets: Shape (T,) or (B, T), IGNORE where a row is not scored.

    Returns:
        Rows of the flattened batch, shape of `targets`: TERMINAL after the last scored row of a
        sequence, UNKNOWN on rows that are not scored.
    """
    length = targets.shape[-1]
    scored = targets != IGNORE
    row = torch.arange(length, device=targets.device).expand_as(targets)
    here_or_later = row.masked_fill(~scored, length).flip(-1).cummin(-1).values.flip(-1)
    later = torch.nn.functional.pad(here_or_later[..., 1:], (0, 1), value=length)
    if targets.dim() == 2:
        start = length * torch.arange(targets.shape[0], device=targets.device)[:, None]
    else:
        start = torch.zeros((), dtype=torch.int64, device=targets.device)
    successor = torch.where(later == length, TERMINAL, later + start)
    return successor.masked_fill(~scored, UNKNOWN)


def text_transitions(
    tokens: Tensor, scored: Tensor, *, truncated: bool, acts_next: bool | None = None
) -> Transitions:
    """Return the rows of one text of a decoder-only model.

    Row `t` predicts token `t + 1`, so the last row predicts nothing; it is the value-only successor
    of a text that was cut inside the model's own words.

    >>> text = torch.tensor([5, 6, 7, 8])
    >>> mine = torch.tensor([False, True, True, True])
    >>> text_transitions(text, mine, truncated=False).successor.tolist()
    [1, 2, -1, -2]
    >>> text_transitions(text, mine, truncated=True).successor.tolist()
    [1, 2, 3, -2]

    Two turns, u A u A: row 0 takes the first A, and its next state is row 2, where the next turn
    begins. Cut before an answer, u A u: whether the model acts next makes row 2 the next state or
    leaves it unknown.

    >>> turns = torch.tensor([False, True, False, True])
    >>> text_transitions(text, turns, truncated=False).successor.tolist()
    [2, -2, -1, -2]
    >>> asked = {"truncated": True, "acts_next": True}
    >>> text_transitions(text[:3], turns[:3], **asked).successor.tolist()
    [2, -2, -2]
    >>> text_transitions(text[:3], turns[:3], truncated=True).successor.tolist()
    [-2, -2, -2]

    Args:
        tokens: Token ids, shape (T,).
        scored: Which tokens the model wrote, shape (T,), bool. The first has no state before it.
        truncated: The text goes on after the last token.
        acts_next: In a truncated text, the model would write the token after the last. By default
            it would if it wrote the last.

    Returns:
        T rows.
    """
    targets = tokens.new_full(tokens.shape, IGNORE)
    targets[:-1] = torch.where(scored[1:], tokens[1:], IGNORE)
    successor = next_scored(targets)
    if truncated:
        acts_next = bool(scored[-1]) if acts_next is None else acts_next
        ended = len(tokens) - 1 if acts_next else UNKNOWN
        successor = successor.masked_fill(successor == TERMINAL, ended)
    return Transitions(targets=targets, successor=successor)


def decoder_transitions(labels: Tensor, *, truncated: bool) -> Transitions:
    """Return the rows of one target text of an encoder-decoder model.

    Decoder row `t` reads the tokens before `t` and predicts `labels[t]`. In a text that was cut the
    last label is read by no row, so that its row becomes the value-only end.

    >>> decoder_transitions(torch.tensor([5, 6, 7]), truncated=False).successor.tolist()
    [1, 2, -1]
    >>> cut = decoder_transitions(torch.tensor([5, 6, 7]), truncated=True)
    >>> cut.targets.tolist(), cut.successor.tolist()
    ([5, 6, -100], [1, 2, -2])

    Args:
        labels: Token ids, shape (T,).
        truncated: The text goes on after the last label.

    Returns:
        T rows.
    """
    targets = labels.clone()
    if truncated:
        targets[-1] = IGNORE
    successor = next_scored(targets)
    if truncated:
        successor = successor.masked_fill(successor == TERMINAL, len(labels) - 1)
    return Transitions(targets=targets, successor=successor)
