"""Many questions at once: bounded threads, and a limit of requests that nothing exceeds."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Lock

from apu.ask.question import Asker, Question
from apu.errors import AnswerError
from apu.types import ContactAnswer


class Budget:
    """A number of requests, shared by threads; each is reserved before it is sent.

    Args:
        requests: how many may be sent in all.
    """

    def __init__(self, requests: int) -> None:
        if requests < 0:
            raise ValueError(f"requests must be at least 0, got {requests}")
        self._left = requests
        self._limit = requests
        self._lock = Lock()

    @property
    def left(self) -> int:
        """Requests that may still be sent."""
        return self._left

    def reserve(self) -> None:
        """Take one request.

        Raises:
            AnswerError: ``"over_budget"``: none is left.
        """
        with self._lock:
            if self._left == 0:
                raise AnswerError("over_budget", f"the limit of {self._limit} requests is used up; raise it to go on")
            self._left -= 1


def ask_all(
    questions: Iterable[Question],
    asker: Asker,
    *,
    workers: int = 4,
    on_result: Callable[[Question, ContactAnswer | AnswerError], None] | None = None,
) -> list[ContactAnswer | AnswerError]:
    """Ask every question; a failure is a result of its own and stops nothing.

    A batch that was cut short goes on where it stopped if the asker is `cached` and the limit is its `Budget`.
    An interrupt lets requests under way finish and asks nothing more.

    Args:
        questions: in any number.
        asker: called from `workers` threads at once.
        workers: how many questions are under way at a time.
        on_result: called in the caller's thread as each result comes in, in the order they come.

    Returns:
        Results in the order of the questions.
    """
    asked = list(questions)
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="ask") as pool:
        futures = {pool.submit(_attempt, asker, question): index for index, question in enumerate(asked)}
        results: dict[int, ContactAnswer | AnswerError] = {}
        try:
            for future in as_completed(futures):
                index = futures[future]
                results[index] = future.result()
                if on_result is not None:
                    on_result(asked[index], results[index])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [results[index] for index in range(len(asked))]


def _attempt(asker: Asker, question: Question) -> ContactAnswer | AnswerError:
    try:
        return asker(question)
    except AnswerError as error:
        return error
