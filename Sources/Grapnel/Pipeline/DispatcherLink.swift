// DispatcherLink: the journal as the dispatcher sees it, and the dispatcher's words in the journal's.

internal import Delivery
internal import HTTP
internal import Journal
internal import Kubernetes
internal import Trigger

/// Plans and outcomes go to the mailbox, payloads come from the segments.
final class DispatcherLink: DeliveryLog {
    private let mailbox: HousekeepingMailbox
    private let reader: JournalReader
    private let journalName: UInt64

    init(mailbox: HousekeepingMailbox, reader: JournalReader, journalName: UInt64) {
        self.journalName = journalName
        self.mailbox = mailbox
        self.reader = reader
    }

    func recordPlan(sequence: UInt64, entries: [EncodedPlanEntry], times: PlanTimes) {
        mailbox.post(
            .plan(
                sequence: sequence,
                entries: entries.map { PlanEntry(actionKind: $0.actionKind, target: $0.target) },
                PlanDetails(
                    plannedUnixNanoseconds: times.plannedNanoseconds, durableUnixNanoseconds: times.durableNanoseconds))
        )
    }

    func recordOutcomes(_ outcomes: [Trigger.OutcomeEntry]) {
        mailbox.post(
            .outcomes(
                outcomes.map { entry in
                    Journal.OutcomeEntry(
                        sequence: entry.sequence, planIndex: entry.planIndex,
                        outcome: Outcome(rawValue: entry.code.rawValue) ?? .failed, detail: entry.detail,
                        reason: entry.reason, details: Journal.OutcomeDetails(entry.details))
                }))
    }

    func payload(sequence: UInt64, location: DeliveryLocation) throws(DeliveryLogError) -> DeliveryPayload? {
        try read(sequence, location).flatMap { DeliveryPayload($0) }
    }

    func origin(sequence: UInt64, location: DeliveryLocation) throws(DeliveryLogError) -> DeliveryOrigin? {
        guard let record = try read(sequence, location) else { return nil }
        let origin = RecordOrigin(record.header)
        return DeliveryOrigin(journal: origin?.journal ?? journalName, sequence: origin?.sequence ?? sequence)
    }

    private func read(_ sequence: UInt64, _ location: DeliveryLocation) throws(DeliveryLogError) -> StoredRecord? {
        let place = RecordLocation(segment: location.segment, offset: location.offset, length: location.length)
        do throws(JournalError) {
            return try reader.read(place, expecting: sequence)
        } catch {
            throw DeliveryLogError(reason: error.message)
        }
    }
}

extension Journal.OutcomeDetails {
    init(_ details: Trigger.OutcomeDetails) {
        let microseconds = details.durationNanoseconds / 1000
        self.init(
            timeUnixNanoseconds: details.atNanoseconds,
            durationMicroseconds: details.durationNanoseconds == 0 ? 0 : UInt32(clamping: max(1, microseconds)),
            attempts: details.attempts, merged: details.merged,
            status: UInt16(clamping: details.exchange?.status ?? 0), request: details.exchange?.request ?? "",
            answer: details.exchange?.answer ?? "")
    }
}

extension QueuedDelivery {
    /// nil when the record is no delivery, or of a kind that this version does not know.
    init?(_ record: StoredRecord, at location: RecordLocation) {
        guard record.header.type == .delivery, let kind = ReceiverKind(rawValue: record.header.receiverKind) else {
            return nil
        }
        self.init(
            sequence: record.header.sequence, receivedNanoseconds: record.header.timeUnixNanoseconds,
            route: RouteIdentity(cluster: record.cluster, kind: kind, namespace: record.namespace, name: record.name),
            location: DeliveryLocation(segment: location.segment, offset: location.offset, length: location.length))
    }
}

extension RecoveredDelivery {
    init?(_ owed: OwedDelivery) {
        guard let kind = ReceiverKind(rawValue: owed.receiverKind) else { return nil }
        let delivery = QueuedDelivery(
            sequence: owed.sequence, receivedNanoseconds: owed.receivedAtUnixNanoseconds,
            route: RouteIdentity(cluster: owed.cluster, kind: kind, namespace: owed.namespace, name: owed.name),
            location: DeliveryLocation(
                segment: owed.location.segment, offset: owed.location.offset, length: owed.location.length))
        let outcomes = owed.progress.map { progress in
            Trigger.OutcomeEntry(
                sequence: owed.sequence, planIndex: progress.planIndex,
                code: progress.outcome.flatMap { OutcomeCode(rawValue: $0.rawValue) } ?? .failed,
                detail: progress.outcome == nil ? progress.attempts : 0, reason: progress.reason)
        }
        self.init(
            delivery: delivery,
            plan: owed.plan?.map { EncodedPlanEntry(actionKind: $0.actionKind, target: $0.target) }, outcomes: outcomes)
    }
}

extension DeliveryPayload {
    /// What an action may know of a delivery. The head was accepted when it was received; its credentials are overwritten.
    init?(_ record: StoredRecord) {
        guard let sender = SenderType(rawValue: record.header.senderType) else { return nil }
        let fields = Self.fields(record.head)
        let line = Self.requestLine(record.head)
        self.init(
            sender: sender, deliveryID: record.deliveryID, eventKind: record.eventName,
            contentType: fields.first { $0.name.lowercased() == "content-type" }?.value ?? "", method: line.method,
            target: line.target, headers: fields,
            body: Array(record.body))
    }

    private static func requestLine(_ head: ArraySlice<UInt8>) -> (method: String, target: String) {
        let line = head.drop { $0 == 0x0d || $0 == 0x0a }.prefix { $0 != 0x0d && $0 != 0x0a }
        let parts = line.split(separator: UInt8(ascii: " "), maxSplits: 2)
        guard parts.count >= 2 else { return ("POST", "/") }
        return (String(decoding: parts[0], as: UTF8.self), String(decoding: parts[1], as: UTF8.self))
    }

    /// The field lines of a stored head.
    private static func fields(_ head: ArraySlice<UInt8>) -> [Field] {
        var fields: [Field] = []
        for line in String(decoding: head, as: UTF8.self).split(separator: "\r\n").dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            var value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            while let last = value.last, last == " " || last == "\t" { value = value.dropLast() }
            fields.append(Field(name: String(line[..<colon]), value: String(value)))
        }
        return fields
    }
}
