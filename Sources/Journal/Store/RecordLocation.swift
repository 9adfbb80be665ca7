// RecordLocation and what travels with it: how the other threads name a record.

/// Where a record lies. Segment numbers are never reused, so a location never leads to another record.
public struct RecordLocation: Sendable, Hashable {
    public var segment: UInt64
    /// From the start of the file.
    public var offset: UInt32
    public var length: UInt32

    public init(segment: UInt64, offset: UInt32, length: UInt32) {
        self.segment = segment
        self.offset = offset
        self.length = length
    }
}

/// A durable delivery whose actions are due.
public struct CommittedDelivery: Sendable, Equatable {
    public var sequence: UInt64
    public var location: RecordLocation
    /// As given in `DeliveryAppend`.
    public var routeToken: UInt64

    public init(sequence: UInt64, location: RecordLocation, routeToken: UInt64) {
        self.sequence = sequence
        self.location = location
        self.routeToken = routeToken
    }
}
