// Doorbell: how a consumer of rings sleeps and a producer wakes it, without a lost wake-up and without a system call
// while the consumer is awake.
//
// Consumer:  1. ring empty  2. `prepareToSleep()`: asleep := true  3. look into the rings once more
//            4. still empty: wait on the descriptor; else `cancelSleep()`
// Producer:  1. push  2. `ring()`: if asleep was true, set it false and signal the descriptor
//
// Lost wake-up argument: the push happens before the producer's exchange on `asleep`, the consumer's store to `asleep`
// before its second look, all sequentially consistent (the ring's positions are published with release, so each side puts a
// full exchange between its write and its read of the other's word). Either the producer's exchange comes after the store of
// true: it sees true and signals; or it comes before: then its push came before too, and the second look finds it.

internal import Synchronization

/// One consumer's bell. `signal` is what really wakes it: a write to its eventfd.
public final class Doorbell: Sendable {
    private let asleep = Atomic<Bool>(false)
    private let signal: @Sendable () -> Void

    public init(signal: @escaping @Sendable () -> Void) { self.signal = signal }

    /// Consumer: from here on a producer signals. The rings must be looked into once more afterwards.
    public func prepareToSleep() {
        _ = asleep.exchange(true, ordering: .sequentiallyConsistent)
    }

    /// Consumer: awake again, by itself or by a signal.
    public func cancelSleep() { asleep.store(false, ordering: .relaxed) }

    /// Producer: after a push. Costs one exchange while the consumer is awake.
    public func ring() {
        if asleep.exchange(false, ordering: .sequentiallyConsistent) { signal() }
    }
}
