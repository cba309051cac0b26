"""Ask the judge about many pairs: each once, from what is kept if it can be, within the budget, several at a time."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.evaluate.language.judge.cache import Cache, key_of
from components.evaluate.language.judge.endpoint import Endpoint, Hopeless, Unanswered
from components.evaluate.language.judge.prompt import Pair, messages
from components.evaluate.language.judge.reply import Better, Unusable, read_reply
from training.spec import JudgeSpec

AT_ONCE = 8
"""Calls in flight."""
GIVE_UP_AFTER = 5
"""Pairs in a row without a usable reply, after which the judge is taken to be down."""


class Asking:
    """One verdict's dealings with a judge.

    Wall time is at most ``(calls / AT_ONCE + 1) * timeout_s``, since every call has its bound.
    """

    def __init__(self, spec: JudgeSpec, cache: Path, spent: int) -> None:
        self._spec = spec
        self._budget = max(0, spec.calls - spent)
        self._cache = Cache(cache)
        self._endpoint = Endpoint(spec)
        self._in_a_row = 0
        self.calls = 0
        """Made now. What the client repeats is one call, since nothing was answered."""
        self.cached = 0
        self.last = ""
        """What came instead of a usable reply, the last time that one was missing."""
        self.hopeless = ""
        """Why asking was given up; empty if it was not."""
        self.left = 0
        """Pairs that were not asked, or not once more, for want of budget."""

    def better(self, pairs: Sequence[Pair]) -> dict[Pair, Better]:
        """The judge's word on each pair in the order that it has; those without a usable reply are not in it."""
        known: dict[Pair, Better] = {}
        unknown: list[Pair] = []
        for pair in dict.fromkeys(pairs):
            kept = self._cache.get(self._key(pair))
            if kept:
                known[pair] = kept.better
            else:
                unknown.append(pair)
        self.cached += len(known)
        if unknown and not self.hopeless:
            asyncio.run(self._ask_all(unknown, known))
        return known

    def _key(self, pair: Pair) -> str:
        return key_of(self._spec.model, messages(self._spec.rubric, pair))

    async def _ask_all(self, pairs: Sequence[Pair], known: dict[Pair, Better]) -> None:
        """The first alone, so that a wrong key or address costs one call; then several at a time."""
        waiting = iter(pairs)
        async with self._endpoint:
            await self._ask(next(waiting), known)
            await asyncio.gather(*(self._work(waiting, known) for _ in range(AT_ONCE)))

    async def _work(self, waiting: Iterator[Pair], known: dict[Pair, Better]) -> None:
        for pair in waiting:
            if self.hopeless:
                return
            await self._ask(pair, known)

    async def _ask(self, pair: Pair, known: dict[Pair, Better]) -> None:
        for again in (False, True):
            if self.calls >= self._budget:
                self.left += 1
                return
            self.calls += 1
            try:
                reply = read_reply(await self._endpoint.ask(messages(self._spec.rubric, pair, again)))
            except Unusable as error:
                self.last = str(error)
            except Hopeless as error:
                self.hopeless = str(error)
                return
            except Unanswered as error:
                self.last = str(error)
                break
            else:
                self._cache.put(self._key(pair), reply)
                known[pair] = reply.better
                self._in_a_row = 0
                return
        self._in_a_row += 1
        if self._in_a_row >= GIVE_UP_AFTER:
            self.hopeless = f"it gave no usable reply {GIVE_UP_AFTER} times in a row; the last time {self.last}"
