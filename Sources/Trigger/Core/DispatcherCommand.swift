// What the core of the dispatcher tells its shell to do, and what those commands carry.

package import Delivery

/// Names a running attempt: slot and generation, so that a late answer never meets another trigger.
package struct TriggerID: Hashable, Sendable {
    var slot: Int32
    var generation: UInt32
}

/// An attempt that is to be made now.
package struct StartedAction: Sendable {
    package var id: TriggerID
    package var sequence: UInt64
    package var planIndex: UInt16
    /// 1 for the first try of this delivery, whether the ones before counted or not.
    package var attempt: Int
    package var action: PlannedAction
    package var route: RouteIdentity
    package var receivedNanoseconds: UInt64
    package var location: DeliveryLocation
    /// Deliveries that were merged into this one.
    package var merged: UInt32 = 0
    /// An earlier attempt may have done it.
    package var isRepeat = false
}

/// An outcome with what logs and metrics need.
package struct SettledOutcome: Sendable {
    package var entry: OutcomeEntry
    /// nil for an outcome of the whole delivery.
    package var action: PlannedAction?
    package var route: RouteIdentity
    package var receivedNanoseconds: UInt64
    /// Deliveries that were merged into this one.
    package var merged: UInt32 = 0
}

/// What the shell must do, in this order.
package enum DispatcherCommand: Sendable {
    /// `durable`: when the delivery's record was; 0: not known.
    case recordPlan(sequence: UInt64, [PlannedAction], encoded: [EncodedPlanEntry], durable: UInt64)
    case recordOutcomes([SettledOutcome])
    case start(StartedAction)
    /// A server or resource is left alone from now on, or works again.
    case breakerChanged(key: String, isOpen: Bool, reason: String)
}
