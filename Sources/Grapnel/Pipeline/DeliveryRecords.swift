// DeliveryRecords: what one delivery leaves in the journal: a record, or where several clusters have its receiver, one for each.

internal import Delivery
internal import Journal

/// One record, and why it is ignored where it is.
struct DeliveryRecord: BitwiseCopyable {
    var append: DeliveryAppend
    var ignoredReason: UInt8
}

/// The records of siblings beside the first one's. What they point to lives as long as what the first one points to.
final class SiblingRecords: @unchecked Sendable {
    // Protocol behind @unchecked Sendable: made by the loop, which hands it over and does not look at it again.
    let records: [DeliveryRecord]

    init(_ records: [DeliveryRecord]) { self.records = records }
}

struct DeliveryRecords {
    var first: DeliveryRecord
    /// nil nearly always, so that a delivery allocates nothing.
    var others: SiblingRecords?
}

extension JournalDesk {
    /// Adds all records of a delivery to the group; the verdict is valid once the group is durable. One that was refused speaks for all:
    /// what is answered 2xx is stored for every cluster.
    func append(_ records: DeliveryRecords) -> Verdict {
        var verdict = append(records.first)
        for record in records.others?.records ?? [] { verdict.join(append(record)) }
        return verdict
    }

    private func append(_ record: DeliveryRecord) -> Verdict {
        var verdict = Verdict()
        verdict.take(append(record.append), of: record.append, ignoredReason: record.ignoredReason)
        return verdict
    }
}

extension Verdict {
    /// What is answered for a delivery that became several records.
    mutating func join(_ other: Verdict) {
        if other.weight > weight { self = other }
    }

    private var weight: Int {
        switch result {
        case .unavailable: 5
        case .accepted: 4
        case .stored: 3
        case .duplicate: 2
        case .ignored: 1
        case .none, .refused, .malformed: 0
        }
    }
}

extension DeliveryLoop where P: ~Copyable {
    /// The records of a proven delivery of this turn.
    func records(of index: Int) -> DeliveryRecords {
        let pending = unsafe turn.pending[index]
        let route = unsafe Int(turn.routes[index])
        let ruling = ruling(of: pending)
        if let ruling {
            let first = record(pending, route: route, ruling: ruling)
            guard !ruling.siblings.isEmpty else { return DeliveryRecords(first: first) }
            return DeliveryRecords(
                first: first,
                others: SiblingRecords(ruling.siblings.map { record(pending, route: $0.route, ruling: $0.ruling) }))
        }
        guard table.sibling(of: route) >= 0 else {
            return DeliveryRecords(first: record(pending, route: route, ruling: nil))
        }
        let concerned = table.siblings(of: route).filter {
            unsafe table.concerns(UnsafeRawPointer(pending.base), pending.labels, route: $0)
        }
        let all = (concerned.isEmpty ? [route] : concerned).map { record(pending, route: $0, ruling: nil) }
        return DeliveryRecords(first: all[0], others: all.count > 1 ? SiblingRecords(Array(all[1...])) : nil)
    }
}
