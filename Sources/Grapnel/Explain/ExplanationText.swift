// ExplanationText: an explanation for somebody who is woken by it: six numbered steps, one fact a line, the verdict first and last.

import Delivery

struct ExplanationText {
    private let explanation: Explanation
    private let redact: Redaction
    private var lines: [String] = []

    private static let labelWidth = 17

    static func make(_ explanation: Explanation, _ redact: Redaction) -> String {
        var text = ExplanationText(explanation: explanation, redact: redact)
        text.write()
        return text.lines.joined(separator: "\n")
    }

    private init(explanation: Explanation, redact: Redaction) {
        self.explanation = explanation
        self.redact = redact
    }

    private mutating func title(_ text: String) {
        if !lines.isEmpty { lines.append("") }
        lines.append(text)
    }

    private mutating func fact(_ label: String, _ value: String?) {
        guard let value, !value.isEmpty else { return }
        let blanks = String(repeating: " ", count: max(1, Self.labelWidth - label.count))
        lines.append("  \(label)\(blanks)\(redact(Plain.text(value, max: 20_000)))")
    }

    private mutating func facts(_ label: String, _ values: [String]) {
        for value in values { fact(label, value) }
    }

    private mutating func write() {
        lines.append("VERDICT  \(redact(verdict))")
        request()
        route()
        verification()
        event()
        judgement()
        filters()
        writes()
        title("VERDICT  \(redact(verdict))")
    }

    private var verdict: String {
        let reason = explanation.judgement.reason
        switch explanation.outcome {
        case .accepted:
            guard let planned = explanation.planned, planned.writes.isEmpty, let why = planned.notes.last else {
                return "accepted"
            }
            return "accepted; \(why)"
        case .ignored: return "ignored (\(reason))"
        case .refused: return "refused (\(reason))"
        case .noRoute: return "no route"
        }
    }

    private mutating func request() {
        title("REQUEST")
        let request = explanation.request
        fact("from", request.source)
        fact("line", request.method.isEmpty ? nil : "\(request.method) \(request.path)")
        fact("host", request.host)
        fact("body", "\(request.bodyBytes) bytes")
        facts("note", request.notes)
    }

    private mutating func route() {
        title("1  ROUTE")
        let route = explanation.route
        fact("receiver", route.receiver ?? "none")
        facts("because", route.reasons)
        if route.receiver != nil {
            fact("defined at", route.source)
            fact("sender", route.sender)
            fact("host", route.host ?? "any")
            fact("ready", route.readiness)
            fact("method", route.methodAllowed ? "allowed" : "not allowed")
            fact("body limit", "\(route.bodyBytesMax) bytes")
        }
        facts("note", route.notes)
    }

    private mutating func verification() {
        title("2  VERIFICATION")
        let verification = explanation.verification
        switch verification.status {
        case .proven:
            fact("proven", "yes")
            fact("by", verification.provenBy)
        case .refused:
            fact("proven", "no")
            fact("cause", verification.cause.name)
            for finding in verification.findings { fact(finding.code.rawValue, finding.text) }
        case .earlier:
            fact("proven", "yes, when it was received; its credentials are overwritten, so this step is left out")
        case .skipped: fact("proven", "not looked at")
        }
        facts("note", verification.notes)
    }

    private mutating func event() {
        title("3  EVENT")
        guard let decoded = explanation.decoded else {
            fact("event", "not decoded")
            return
        }
        let event = decoded.event
        fact("sender", decoded.sender)
        fact("kind", event.kind ?? "-")
        fact("repository", event.repository)
        fact("url", event.repositoryURL)
        fact("ref", event.ref)
        fact("commit", event.commit)
        fact("image", event.image)
        fact("tag", event.tag)
        fact("digest", event.digest)
        for image in event.images.dropFirst() {
            fact("image", [image.image, image.tag, image.digest].compactMap { $0 }.joined(separator: " "))
        }
        if event.isDeletion { fact("note", "the ref was removed") }
        fact("delivery id", decoded.deliveryID.isEmpty ? "none: never a duplicate" : decoded.deliveryID)
        if !decoded.deliveryID.isEmpty {
            fact(
                "dedupe",
                decoded.dedupeWindowSeconds == 0
                    ? "off" : "the same id again within \(decoded.dedupeWindowSeconds) s is a duplicate")
        }
        fact("masked", decoded.masked.isEmpty ? "nothing" : decoded.masked.joined(separator: ", "))
    }

    private mutating func judgement() {
        title("4  JUDGEMENT")
        let judgement = explanation.judgement
        fact("decision", explanation.outcome == .accepted ? "accepted" : verdict)
        if let status = judgement.status {
            fact("answer", "\(status)")
            for field in judgement.fields { fact("", "\(field.name): \(field.value)") }
            fact("body", judgement.body)
        }
        facts("note", judgement.notes)
    }

    private mutating func filters() {
        title("5  FILTERS")
        guard let planned = explanation.planned else {
            fact("filters", "not asked")
            return
        }
        if planned.filters.isEmpty { fact("filters", "none") }
        for (index, filter) in planned.filters.enumerated() {
            if index > 0 { lines.append("") }
            fact("filter", filter.filter)
            fact("of", filter.place)
            fact("target", filter.target)
            switch filter.outcome {
            case .holds: fact("result", "true")
            case .fails: fact("result", "false: the target is left out")
            case .error(let text): fact("result", "error: \(text): the target is left out")
            case .notAsked: fact("result", "not asked, since the filter before it is false")
            }
            switch filter.basis {
            case .request: break
            case .api: fact("read", "the target's metadata, from the API server")
            case .names: fact("read", "evaluated with the target's names alone: give --kubernetes to read its metadata")
            }
        }
    }

    private mutating func writes() {
        title("6  TARGETS AND WRITES")
        guard let planned = explanation.planned else {
            fact("writes", "none")
            return
        }
        if planned.writes.isEmpty { fact("writes", "none") }
        for (index, write) in planned.writes.enumerated() {
            if index > 0 { lines.append("") }
            fact("action", write.action)
            fact("call", write.verb.isEmpty ? nil : "\(write.verb) \(write.path)")
            fact("type", write.contentType)
            if let body = write.body {
                for (index, line) in JSONText.pretty.text(redact(body)).split(separator: "\n").enumerated() {
                    fact(index == 0 ? "body" : "", String(line))
                }
            }
            facts("note", write.notes)
        }
        facts("note", planned.notes)
        if !planned.writes.isEmpty { fact("written", "nothing: this command only explains") }
    }
}
