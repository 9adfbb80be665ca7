// What the API changes: pauses here, redeliveries in AdminAPI+Redeliver.swift. Bodies are JSON objects; a member that is not known is refused, so that a misspelt
// `dryRun` does not act.

internal import Delivery
internal import NIOHTTP1
internal import Trigger

extension AdminAPI {
    func pause(_ request: AdminRequest, _ isPaused: Bool) -> AdminAnswer {
        guard let body = Self.object(request, ["route", "namespace", "target", "cluster"]),
            let subject = PauseSubject(body)
        else {
            return Self.badBody(
                "one of {\"route\": \"Hook/team-a/webapp\"}, {\"namespace\": \"team-a\"}, {\"target\": \"…\"}, and if wanted \"cluster\""
            )
        }
        switch pauses.change(subject, isPaused: isPaused) {
        case .done(let isNew):
            let warning = warning(of: subject)
            return .json([
                "changed": .bool(isNew), "subject": subject.json, "known": .bool(warning == nil),
                "warning": warning.map { .string($0) } ?? .null,
                "paused": .array(PauseBook.sorted(pauses.all).map(\.json)),
            ])
        case .full:
            return .problem(
                .conflict, "too-many-paused",
                "\(PauseBook.subjectsMax) subjects are paused; resume some, or pause a namespace")
        case .failed(let trouble):
            return .problem(
                .internalServerError, "not-kept", "it could not be written down, so nothing was changed: \(trouble)")
        }
    }

    // MARK: - Bodies

    /// nil: no JSON object, or one with members that are not known or repeated. No body is an empty object.
    static func object(_ request: AdminRequest, _ known: Set<String>) -> JSONValue? {
        guard !request.body.isEmpty else { return .object([]) }
        guard let value = JSONValue(request.body), let members = value.members,
            members.allSatisfy({ known.contains($0.name) }), Set(members.map(\.name)).count == members.count
        else { return nil }
        return value
    }

    static func badBody(_ wanted: String) -> AdminAnswer {
        .problem(.badRequest, "body-wrong", "the body is \(wanted)")
    }

    static func integer(_ value: JSONValue?, default fallback: Int, _ range: ClosedRange<Int>) -> Int? {
        guard let value else { return fallback }
        guard case .number(let text) = value, let number = Int(text), range.contains(number) else { return nil }
        return number
    }
}
