"""Steady-state search: `in_flight` expansions are under way, and each end begins another.

Choice i is made from the outcomes of the choices before i - in_flight + 1, which are committed in
their order; those after are pending and count as virtual losses. So what a search finds depends on
its seed and on `in_flight`, never on how many threads did the work or which program was faster:
with answers replayed, N workers and one are equal bit for bit. The price is that a slow program
holds back the commits after it; more in flight than workers keeps these busy meanwhile.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from agentbench_agents.search.node import Node, Outcome, Tree

Begin = Callable[[], "tuple[Node, Callable[[], Outcome]] | None"]


def run_search(
    tree: Tree,
    begin: Begin,
    *,
    in_flight: int,
    workers: int,
    committed: Callable[[Node], None] = lambda _: None,
) -> None:
    """Expand a tree until there is nothing to begin.

    Args:
        tree: Grows.
        begin: Opens a node and returns it with the work to do, or None to stop. Called in the
            caller's thread.
        in_flight: Expansions under way at once, at least 1.
        workers: Threads that do the work.
        committed: Told of each node, in the order of ids, in the caller's thread.

    Raises:
        Exception: What the first failing work raised, after what was begun before it is committed;
            what has not begun to run is dropped.
    """
    under_way: deque[tuple[Node, Future[Outcome]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="search") as pool:
        try:
            while True:
                while len(under_way) < in_flight and (begun := begin()) is not None:
                    node, work = begun
                    under_way.append((node, pool.submit(work)))
                if not under_way:
                    return
                node, future = under_way.popleft()
                tree.commit(node, future.result())
                committed(node)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
