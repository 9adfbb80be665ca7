// Mailbox: how anything reaches the dispatcher's thread. An array under a mutex and one condition to sleep on; the only
// door through which the dispatcher is woken.
//
// No wake-up is lost: the sleeper looks at the array and goes to sleep under the mutex (`pthread_cond_timedwait` gives the
// mutex up and falls asleep in one step), and a sender appends under the same mutex before it signals. So a message
// is either seen by that look, or its signal comes when the sleeper already sleeps. The time limit is on the monotonic
// clock: setting the wall clock neither wakes nor delays anybody.

import Glibc

/// Many senders, one receiver.
///
/// `@unchecked Sendable`: `messages` and `isClosed` are touched only between `pthread_mutex_lock` and `unlock`; the two
/// pointers never change and live as long as the mailbox.
@safe final class Mailbox<Message: Sendable>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var messages: [Message] = []
    private var isClosed = false

    init() {
        unsafe mutex = .allocate(capacity: 1)
        unsafe mutex.initialize(to: pthread_mutex_t())
        unsafe condition = .allocate(capacity: 1)
        unsafe condition.initialize(to: pthread_cond_t())
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        let made = unsafe pthread_mutex_init(mutex, nil) == 0 && pthread_cond_init(condition, &attributes) == 0
        precondition(made, "a mutex and a condition of this process alone can always be made")
        unsafe pthread_condattr_destroy(&attributes)
    }

    deinit {
        unsafe pthread_cond_destroy(condition)
        unsafe pthread_mutex_destroy(mutex)
        unsafe condition.deallocate()
        unsafe mutex.deallocate()
    }

    /// Puts messages in, in order. Returns false when the mailbox is closed and they are dropped. Any thread.
    @discardableResult
    func post(_ new: [Message]) -> Bool {
        guard !new.isEmpty else { return true }
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        guard !isClosed else { return false }
        messages.append(contentsOf: new)
        if messages.count == new.count { unsafe pthread_cond_signal(condition) }
        return true
    }

    @discardableResult
    func post(_ message: Message) -> Bool { post([message]) }

    /// Takes all messages; sleeps until there is one or until `monotonicNanoseconds` (nil: without limit). The one
    /// receiver only.
    func take(until monotonicNanoseconds: UInt64?) -> [Message] {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        while messages.isEmpty {
            if let limit = monotonicNanoseconds {
                var time = timespec(tv_sec: Int(limit / 1_000_000_000), tv_nsec: Int(limit % 1_000_000_000))
                if unsafe pthread_cond_timedwait(condition, mutex, &time) == ETIMEDOUT { break }
            } else {
                unsafe pthread_cond_wait(condition, mutex)
            }
        }
        defer { messages = [] }
        return messages
    }

    /// Refuses what comes later; gives back what nobody will take.
    func close() -> [Message] {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        isClosed = true
        defer { messages = [] }
        return messages
    }
}
