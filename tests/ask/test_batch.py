import threading
import time

import pytest

from apu.ask import Budget, ask_all, cached, parse_answer
from apu.errors import AnswerError

from .conftest import answer_with


def answer(question):
    return parse_answer(answer_with(interaction=question.image), model="m")


def questions(ask_about, number):
    return [ask_about(shade=n % 256, image=f"{n}.jpg") for n in range(number)]


def test_results_come_in_the_questions_order_and_failures_stop_nothing(ask_about):
    def every_third_fails(question):
        if int(question.stem) % 3 == 0:
            raise AnswerError("refused", "no")
        time.sleep(0.002 * (7 - int(question.stem)))
        return answer(question)

    seen = []
    asked = questions(ask_about, 7)
    results = ask_all(asked, every_third_fails, workers=4, on_result=lambda q, r: seen.append((q.image, r)))
    expected = ["refused", "1.jpg", "2.jpg", "refused", "4.jpg", "5.jpg", "refused"]
    assert [r.status if isinstance(r, AnswerError) else r.interaction for r in results] == expected
    assert sorted(name for name, _ in seen) == [q.image for q in asked]
    assert [dict(seen)[q.image] for q in asked] == results


def test_no_more_questions_are_under_way_than_workers(ask_about):
    lock, now, most = threading.Lock(), 0, 0

    def slow(question):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.005)
        with lock:
            now -= 1
        return answer(question)

    ask_all(questions(ask_about, 12), slow, workers=3)
    assert most == 3


def test_a_mistake_in_the_program_is_not_hidden_as_a_result(ask_about):
    with pytest.raises(ZeroDivisionError):
        ask_all(questions(ask_about, 3), lambda question: 1 / 0)


def test_twenty_workers_at_the_limit_never_exceed_it(ask_about):
    budget, sent = Budget(100), []

    def ask(question):
        budget.reserve()
        sent.append(question.image)
        return answer(question)

    results = ask_all(questions(ask_about, 300), ask, workers=20)
    assert len(sent) == 100
    assert budget.left == 0
    assert sum(isinstance(r, AnswerError) and r.status == "over_budget" for r in results) == 200


def test_a_batch_that_is_stopped_goes_on_where_it_stopped_and_asks_nothing_twice(tmp_path, ask_about):
    asked = questions(ask_about, 200)
    sent = []

    def ask(question):
        sent.append(question.image)
        return answer(question)

    def stop_after_fifty(question, result):
        if len(sent) >= 50:
            raise KeyboardInterrupt

    keeping = cached(ask, tmp_path, identity={})
    with pytest.raises(KeyboardInterrupt):
        ask_all(asked, keeping, workers=8, on_result=stop_after_fifty)
    assert 50 <= len(sent) < 200
    results = ask_all(asked, keeping, workers=8)
    assert [r.interaction for r in results] == [q.image for q in asked]
    assert sorted(sent) == sorted(q.image for q in asked)
