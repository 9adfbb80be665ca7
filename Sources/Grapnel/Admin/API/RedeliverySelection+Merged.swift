// What a selection asks of merged deliveries: whom they were left to, and whether that is to be redelivered itself.

internal import CLinuxIO
internal import Delivery
internal import Journal

extension AdminAPI {
    /// Who stands for a delivery that was merged, or of which a filter means nothing but what was.
    func heir(of delivery: IndexedDelivery, _ filter: DeliveryFilter, _ deadline: UInt64) -> DeliveryIndex.Heir {
        guard delivery.isMerged, delivery.state == .merged || !delivery.matches(filter.outcomes) else { return .none }
        return (try? index.heir(of: delivery, deadline: deadline)) ?? .unfinished
    }

    /// What is done with a delivery if the filter means it too; nil: it is not meant, or nothing can be done with it.
    func act(_ wish: RedeliveryWish, onMeant delivery: IndexedDelivery, _ filter: DeliveryFilter) -> RedeliveryAct? {
        guard filter.matches(delivery, of: index.route(delivery)), isMeant(delivery, by: filter) else { return nil }
        return try? choice(wish, delivery).get()
    }

    /// Whether a redelivery is done or will be.
    func isSettled(_ delivery: IndexedDelivery, _ deadline: UInt64) -> Bool {
        switch delivery.state {
        case .owed, .failed, .done: true
        case .dead, .ignored, .duplicate: false
        case .merged:
            switch (try? index.last(mergedFrom: delivery, deadline: deadline))?.state {
            case .dead, .ignored: false
            default: true
            }
        }
    }
}
