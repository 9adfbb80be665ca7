"""The list of end-to-end tests, filled by the `@test` decorator."""

tests = []


class Test:
    def __init__(self, name, function, module, alone):
        self.name, self.function, self.module, self.alone = name, function, module, alone


def test(name, alone=False):
    """Marks a function that takes a `Context` as a test. `alone`: nothing else may run beside it."""
    def mark(function):
        tests.append(Test(name, function, function.__module__, alone))
        return function
    return mark
