// Operation: one thing a room does for a delivery, ready to be repeated. What is measured here is measured twice: its time
// by `Rooms`, its allocations by `room-allocations`.

/// A named piece of work.
public struct Operation {
    /// Room and work: `HTTP: parse a push's head`. Also the key in thresholds.json.
    public let name: String
    /// Makes what the work needs, outside of what is measured, and returns the work: it does it so many times.
    public let prepare: () -> (Int) -> Void

    init(_ name: String, _ prepare: @escaping () -> (Int) -> Void) {
        self.name = name
        self.prepare = prepare
    }
}

/// All operations, in the order in which a delivery passes the rooms.
public func allOperations() -> [Operation] {
    httpOperations() + deliveryOperations() + ringOperations() + journalOperations() + planningOperations()
}

/// Keeps the optimiser from leaving out work whose result nobody reads.
@inline(never)
@_optimize(none)
func consume(_ value: Int) {}
