"""Whether a history of reads and writes of one register could have happened one after the other
(Wing and Gong 1993), with a memory of the states seen, as porcupine has it."""
import collections

NEVER = float("inf")
# `ended` is NEVER where nobody knows whether a write took effect, or will.
Operation = collections.namedtuple("Operation", "write value begun ended")


def is_linearizable(history, first=None):
    read = {operation.value for operation in history if not operation.write}
    # A write of unknown outcome that nobody saw may come after all else, so it forbids nothing.
    telling = [operation for operation in history
               if not operation.write or operation.ended != NEVER or operation.value in read]
    telling.sort(key=lambda operation: operation.begun)
    must = sum(1 << i for i, operation in enumerate(telling) if operation.ended != NEVER)
    seen = set()
    stack = [(0, first)]
    while stack:
        taken, value = stack.pop()
        if taken & must == must:
            return True
        if (taken, value) in seen:
            continue
        seen.add((taken, value))
        earliest_end = min((operation.ended for i, operation in enumerate(telling)
                            if not taken >> i & 1), default=NEVER)
        for i, operation in enumerate(telling):
            if operation.begun > earliest_end:
                break
            if taken >> i & 1:
                continue
            if operation.write:
                stack.append((taken | 1 << i, operation.value))
            elif operation.value == value:
                stack.append((taken | 1 << i, value))
    return False
