// Counter, Gauge, Histogram: the three shapes of a figure that Prometheus reads.
//
// A figure is a cell of relaxed atomics. It is written by the thread that owns it (`increment` assumes one writer and is
// a plain load and store) or by several (`add` is an atomic add), and read by whoever scrapes. Relaxed is enough: a
// figure orders nothing else.

internal import Synchronization

/// A figure that only grows. Safe to read from any thread.
public final class Counter: Sendable {
    private let cell = Atomic<UInt64>(0)

    public init() {}

    /// Adds `amount`. Only the one thread that owns this counter may call it; costs a load and a store.
    public func increment(by amount: UInt64 = 1) {
        cell.store(cell.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    /// Adds `amount` from any thread.
    public func add(_ amount: UInt64 = 1) {
        cell.wrappingAdd(amount, ordering: .relaxed)
    }

    /// The figure now.
    public var value: UInt64 { cell.load(ordering: .relaxed) }
}

/// A figure that rises and falls. Safe to set and read from any thread.
public final class Gauge: Sendable {
    private let cell = Atomic<Int64>(0)

    public init() {}

    public func set(_ value: Int64) { cell.store(value, ordering: .relaxed) }
    public func add(_ amount: Int64) { cell.wrappingAdd(amount, ordering: .relaxed) }
    public var value: Int64 { cell.load(ordering: .relaxed) }
}

/// A distribution over fixed, ascending upper bounds; what exceeds the last bound is counted by `count` alone.
public final class Histogram: Sendable {
    /// Upper bounds, ascending, in the unit of the figure's name.
    public let bounds: [Double]
    private let buckets: [Counter]
    private let total = Counter()
    private let sumBits = Atomic<UInt64>(0)

    public init(bounds: [Double]) {
        precondition(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "histogram bounds must ascend")
        self.bounds = bounds
        self.buckets = bounds.map { _ in Counter() }
    }

    /// Records one observation. One writer only, like `Counter.increment`.
    public func observe(_ value: Double) {
        var index = 0
        while index < bounds.count, value > bounds[index] { index += 1 }
        if index < bounds.count { buckets[index].increment() }
        total.increment()
        let sum = Double(bitPattern: sumBits.load(ordering: .relaxed)) + value
        sumBits.store(sum.bitPattern, ordering: .relaxed)
    }

    /// Observations in bucket `index` alone (not cumulative).
    public func bucketCount(_ index: Int) -> UInt64 { buckets[index].value }
    public var count: UInt64 { total.value }
    public var sum: Double { Double(bitPattern: sumBits.load(ordering: .relaxed)) }

    /// 25 µs to 10 s: answers, syncs and actions alike.
    public static let secondsBounds: [Double] = [
        0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
        2.5, 5, 10,
    ]
    /// 1 to 1024: how many records shared one sync.
    public static let batchBounds: [Double] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
}
