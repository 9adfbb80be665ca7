// OpenShiftStatus: answers in the API server's words (`Status`, v1). Of the request they name the BuildConfig and the webhook's type
// at most; never the secret, the payload or a header field.

enum OpenShiftStatus {
    static let group = "build.openshift.io"

    static func badRequest(_ message: String) -> Answer { failure(400, "BadRequest", message) }

    /// One text for a wrong secret, no such trigger and no such BuildConfig: what exists cannot be probed.
    static func unauthorized(type: BuildHookType, name: String) -> Answer {
        failure(
            401, "Unauthorized", "the webhook \"\(type.rawValue)\" for \"\(shown(name))\" did not accept your secret")
    }

    /// `type` is shown unless it may be a secret: in a path whose last parts were exchanged.
    static func unknownType(_ type: ArraySlice<UInt8>, secret: ArraySlice<UInt8>) -> Answer {
        let isExchanged = BuildHookType.allCases.contains { secret.elementsEqual($0.rawValue.utf8) }
        let name = isExchanged ? "" : shown(String(decoding: type.prefix(254), as: UTF8.self))
        return failure(
            404, "NotFound", "buildconfighook.\(group) \"\(name)\" not found",
            details: ["name": .string(name), "group": .string(group), "kind": "buildconfighook"])
    }

    static var notFound: Answer { failure(404, "NotFound", "the server could not find the requested resource") }

    static var methodNotAllowed: Answer {
        var answer = failure(
            405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        answer.fields = [Answer.Field("Allow", "POST")]
        return answer
    }

    /// 200: nothing is built, and why.
    static func skipped(_ message: String) -> Answer {
        Answer(
            200, contentType: "application/json",
            body: object(status: "Success", message: message, reason: nil, details: nil, code: 200))
    }

    private static func failure(
        _ code: UInt16, _ reason: String, _ message: String, details: JSONValue? = nil
    ) -> Answer {
        Answer(
            code, contentType: "application/json",
            body: object(status: "Failure", message: message, reason: reason, details: details, code: code))
    }

    private static func object(
        status: String, message: String, reason: String?, details: JSONValue?, code: UInt16
    ) -> [UInt8] {
        var members: [JSONValue.Member] = [
            .init(name: "kind", value: "Status"), .init(name: "apiVersion", value: "v1"),
            .init(name: "metadata", value: .object([])), .init(name: "status", value: .string(status)),
            .init(name: "message", value: .string(message)),
        ]
        if let reason { members.append(.init(name: "reason", value: .string(reason))) }
        if let details { members.append(.init(name: "details", value: details)) }
        members.append(.init(name: "code", value: .number(String(code))))
        return JSONValue.object(members).serialized + [0x0a]
    }

    /// Names as resources have them; anything else is not repeated.
    private static func shown(_ name: String) -> String {
        let isName =
            name.utf8.count <= 253
            && name.utf8.allSatisfy {
                lowered($0) &- 0x61 < 26 || $0 &- 0x30 < 10 || "-._".utf8.contains($0)
            }
        return isName ? name : ""
    }
}
