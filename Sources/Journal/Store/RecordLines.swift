// RecordLines: segments and records as lines of text.

struct RecordLines {
    let names: InspectionNames
    let reader: ByteReader
    let segment: UInt64

    func segment(_ verdict: SegmentVerdict) -> String {
        var line = "\(SegmentFileName.segment(verdict.number)) \(verdict.fileBytes) bytes"
        if let identity = verdict.identity { line += " created \(UnixTime.text(identity.createdUnixNanoseconds))" }
        if let start = verdict.start {
            line += " from #\(start.baseSequence) after #\(start.previousSequence) \(start.durability)"
        } else if verdict.isUnstarted {
            line += " prepared, not used"
        }
        return line
    }

    /// `  8192 #1 2026-01-02T03:04:05.678Z delivery accepted Hook/team-a/webapp github id="…" event="push" head 640 body 8119`
    func record(_ record: ScannedRecord) -> String {
        let header = record.header
        var words = ["  \(record.offset) #\(header.sequence)", UnixTime.text(header.timeUnixNanoseconds)]
        words.append(header.type.name)
        if header.isCopied { words.append("copied") }
        switch header.type {
        case .delivery: words += delivery(record)
        case .plan: words += plan(record)
        case .outcome: words += outcomes(record)
        case .keep:
            words.append(
                "of segment \(header.reference): \(KeepCoding.decode(payload(record))?.sequences.count ?? 0) owed")
        case .probe: words.append("durable through #\(header.durableMark)")
        }
        return words.joined(separator: " ")
    }

    func voidRecord(_ record: ScannedRecord) -> String {
        "  \(record.offset) #\(record.header.sequence) \(record.header.type.name) void: never acknowledged"
    }

    func damage(_ damage: Damage) -> String {
        var line = "damage: \(SegmentFileName.segment(damage.segment)) offset \(damage.offset) length \(damage.length) "
        line += "(\(damage.kind.rawValue))"
        if let missing = damage.missing {
            line +=
                missing.count == 1
                ? ": record #\(missing.lowerBound) is lost"
                : ": records #\(missing.lowerBound) to #\(missing.upperBound) are lost"
        } else if damage.kind == .payload {
            line += ": details of a plan or of outcomes; what was planned and what became of it is known"
        } else if damage.kind == .segmentHeader {
            line += ": its second copy is used"
        } else if damage.kind == .segment {
            line += ": nothing of it can be read"
        } else if damage.kind == .cut {
            line += ": what stood behind is lost, and how far it went is not known"
        }
        return line
    }

    private func delivery(_ record: ScannedRecord) -> [String] {
        let header = record.header
        var words: [String] = []
        switch header.decision {
        case .ignored: words.append("ignored(\(names.ignoredReason(header.ignoredReason)))")
        case .duplicate: words.append("duplicate(of \(earlier(header)))")
        default: words.append(header.decision?.name ?? "")
        }
        if let meta = DeliveryMeta(reader, at: record.offset, header: header) {
            let kind = names.receiverKind(header.receiverKind)
            let cluster = text(meta.cluster, record)
            let route = "\(kind)/\(text(meta.namespace, record))/\(text(meta.name, record))"
            words.append(cluster == "local" ? route : "\(cluster):\(route)")
            words.append(names.senderType(header.senderType))
            words.append("id=\"\(text(meta.deliveryID, record))\"")
            words.append("event=\"\(text(meta.eventName, record))\"")
        }
        if header.flags.contains(.sameIDOtherBody) { words.append("same-id-other-body") }
        if header.flags.contains(.redelivered) { words.append("redelivery(of \(earlier(header)))") }
        if let origin = RecordOrigin(header) { words.append("adopted(\(origin))") }
        if header.flags.contains(.concluded) { words.append("concluded") }
        words.append("head \(header.headLength) body \(header.receivedBodyLength)")
        if header.bodyLength != header.receivedBodyLength { words.append("(body not kept)") }
        return words
    }

    /// What a duplicate or a redelivery refers to; of an adopted one it lies in the journal that received it.
    private func earlier(_ header: RecordHeader) -> String {
        guard let origin = RecordOrigin(header) else { return "#\(header.reference)" }
        return RecordOrigin(journal: origin.journal, sequence: header.dedupeHash.high).description
    }

    private func plan(_ record: ScannedRecord) -> [String] {
        let payload = payload(record)
        guard let entries = PlanCoding.decode(payload) else { return ["unreadable"] }
        let kinds = entries.map { names.actionKind($0.actionKind) }
        return ["for #\(record.header.reference):", kinds.isEmpty ? "nothing to do" : kinds.joined(separator: ", ")]
    }

    private func outcomes(_ record: ScannedRecord) -> [String] {
        guard let entries = OutcomeCoding.decode(payload(record)) else { return ["unreadable"] }
        let texts = entries.map { entry in
            let place = entry.planIndex == OutcomeEntry.wholeDelivery ? "" : "[\(entry.planIndex)]"
            var text = "#\(entry.sequence)\(place) \(entry.outcome.name)"
            if entry.outcome == .merged { text += "(into #\(entry.detail))" }
            if entry.outcome == .failed { text += "(\(entry.detail))" }
            if !entry.reason.isEmpty { text += " \"\(Self.escaped(entry.reason))\"" }
            return text
        }
        return [texts.joined(separator: ", ")]
    }

    private func payload(_ record: ScannedRecord) -> ByteReader {
        reader.part(from: record.offset + record.header.headOffset, count: Int(record.header.headLength))
    }

    private func text(_ field: DeliveryMeta.Field, _ record: ScannedRecord) -> String {
        Self.escaped(reader.string(from: record.offset + field.offset, count: field.count))
    }

    /// Nothing that a terminal would act on: control characters, and what changes the direction of text, as \u{…}.
    static func escaped(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned, .surrogate:
                escaped += "\\u{\(String(scalar.value, radix: 16))}"
            default:
                if scalar == "\"" || scalar == "\\" { escaped.unicodeScalars.append("\\") }
                escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}

/// Unix nanoseconds as RFC 3339 text in UTC, to the millisecond.
enum UnixTime {
    static func text(_ nanoseconds: UInt64) -> String {
        let milliseconds = nanoseconds / 1_000_000
        let seconds = milliseconds / 1000
        let (year, month, day) = date(daysSinceEpoch: Int(seconds / 86_400))
        let time = seconds % 86_400
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T"
            + "\(padded(Int(time / 3600), 2)):\(padded(Int(time / 60 % 60), 2)):\(padded(Int(time % 60), 2))."
            + "\(padded(Int(milliseconds % 1000), 3))Z"
    }

    private static func padded(_ value: Int, _ width: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
    }

    /// Gregorian date by Howard Hinnant's `civil_from_days` (chrono-Compatible Low-Level Date Algorithms).
    private static func date(daysSinceEpoch: Int) -> (year: Int, month: Int, day: Int) {
        let days = daysSinceEpoch + 719_468
        let era = days / 146_097
        let dayOfEra = days - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }
}
