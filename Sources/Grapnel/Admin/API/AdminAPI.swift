// AdminAPI: what the admin listener answers: health, metrics, and /api/v1 behind `AdminGuard`.
//
// One table of paths, which `GET /api/v1` shows and a test compares with docs/openapi.yaml. Handlers get a request with its path's
// variable and give an answer; all but the trivial ones run on a worker thread. Answers are JSON; errors are
// `{"error": {"code", "message"}}` with a remedy in the message. Members are added with time, never renamed.

internal import CLinuxIO
internal import Delivery
internal import Journal
internal import NIOHTTP1
internal import Trigger

/// What the API looks at and acts on.
struct AdminParts: Sendable {
    var reader: JournalReader
    var history: JournalHistory
    var durableSequence: @Sendable () -> UInt64
    var routes: CurrentRoutes
    var dispatcher: Dispatcher
    var journalMetrics: JournalMetrics
    /// nil: deliveries are taken.
    var journalRefusal: @Sendable () -> String?
    var lostSegments: @Sendable () -> [JournalWatch.Lost]
    var shareRefusals: ShareRefusals
    var refused: RefusedRequests
    var counts: RouteCounts
    var redeliver: Redeliverer
    var startJob = RedeliveryJobs.thread
    var settings: ServerSettings
    var version: String
}

final class AdminAPI: AdminResponder {
    /// /healthz and what else stands outside of the API, by path; nil: unknown.
    typealias Unguarded = @Sendable (String) -> AdminAnswer?
    typealias Handler = @Sendable (AdminAPI, AdminRequest, String) -> AdminReply

    struct Route: Sendable {
        var method: HTTPMethod
        /// Segments behind /api/v1; `{sequence}` and `{id}` stand for anything.
        var template: String
        /// Beside those of a filter, where `takesFilter`.
        var parameters: Set<String> = []
        var takesFilter = false
        var handler: Handler
    }

    static let prefix = "/api/v1"
    static let routes: [Route] = [
        Route(method: .GET, template: "") { api, _, _ in .answer(api.contents()) },
        Route(method: .GET, template: "/deliveries", parameters: ["limit", "cursor"], takesFilter: true) {
            api, request, _ in .work { api.list(request) }
        },
        Route(method: .GET, template: "/deliveries/{sequence}", parameters: ["body"]) { api, request, sequence in
            .work { api.show(sequence, request) }
        },
        Route(method: .POST, template: "/deliveries/{sequence}/redeliver") { api, request, sequence in
            .work { api.redeliver(sequence, request) }
        },
        Route(method: .GET, template: "/redeliveries") { api, _, _ in .answer(api.jobs.list) },
        Route(method: .POST, template: "/redeliveries") { api, request, _ in .work { api.redeliverMany(request) } },
        Route(method: .GET, template: "/redeliveries/{id}") { api, _, id in .answer(api.jobs.answer(id)) },
        Route(method: .POST, template: "/redeliveries/{id}/cancel") { api, _, id in .work { api.jobs.cancel(id) } },
        Route(method: .GET, template: "/routes", parameters: ["namespace"]) { api, request, _ in
            .work { api.listRoutes(request) }
        },
        Route(method: .GET, template: "/queues", parameters: ["limit", "namespace", "cluster"]) { api, request, _ in
            .work { api.listQueues(request) }
        },
        Route(method: .GET, template: "/dead", parameters: ["limit", "cursor"], takesFilter: true) { api, request, _ in
            .work { api.list(request, only: .dead) }
        },
        Route(method: .GET, template: "/journal") { api, _, _ in .work { api.journal() } },
        Route(method: .POST, template: "/pause") { api, request, _ in .work { api.pause(request, true) } },
        Route(method: .POST, template: "/resume") { api, request, _ in .work { api.pause(request, false) } },
        Route(method: .GET, template: "/events", takesFilter: true) { api, request, _ in api.events(request) },
    ]

    let parts: AdminParts
    let index: DeliveryIndex
    let report: DeliveryReport
    let hub: EventHub
    let pauses: PauseBook
    let jobs: RedeliveryJobs
    private let guardian: AdminGuard
    private let plain: Unguarded

    init(_ parts: AdminParts, pauses: PauseBook, plain: @escaping Unguarded) {
        self.parts = parts
        self.pauses = pauses
        self.plain = plain
        guardian = AdminGuard(tokenFile: parts.settings.adminTokenFile)
        index = DeliveryIndex(reader: parts.reader, durableSequence: parts.durableSequence)
        report = DeliveryReport(
            reader: parts.reader, journal: parts.history, index: index, routes: parts.routes, pauses: pauses)
        hub = EventHub(reader: parts.reader, durableSequence: parts.durableSequence, report: report)
        jobs = RedeliveryJobs(parts.redeliver, start: parts.startJob)
    }

    func stop() {
        hub.stop()
        jobs.stop()
    }

    // MARK: - Routing

    func reply(to request: AdminRequest) -> AdminReply {
        guard request.path == Self.prefix || request.path.hasPrefix(Self.prefix + "/") else {
            return .answer(answerPlain(request))
        }
        if let refusal = guardian.refusal(of: request) { return .answer(refusal) }
        let method = request.method == .HEAD ? HTTPMethod.GET : request.method
        var allowed: [String] = []
        for route in Self.routes {
            guard let variable = Self.match(route.template, request.path.dropFirst(Self.prefix.count)) else { continue }
            guard route.method == method else {
                allowed.append(route.method.rawValue)
                continue
            }
            if let problem = Self.unknownParameter(request, route) { return .answer(problem) }
            return route.handler(self, request, variable)
        }
        guard !allowed.isEmpty else {
            return .answer(.problem(.notFound, "not-found", "GET \(Self.prefix) lists what is here"))
        }
        let methods = allowed.contains("GET") ? allowed + ["HEAD"] : allowed
        var answer = AdminAnswer.problem(
            .methodNotAllowed, "method-not-allowed", "this path takes \(methods.joined(separator: ", "))")
        answer.fields = [("Allow", methods.joined(separator: ", "))]
        return .answer(answer)
    }

    private func answerPlain(_ request: AdminRequest) -> AdminAnswer {
        guard request.method == .GET || request.method == .HEAD else {
            var answer = AdminAnswer(status: .methodNotAllowed, body: "GET only\n")
            answer.fields = [("Allow", "GET, HEAD")]
            return answer
        }
        return plain(request.path)
            ?? AdminAnswer(
                status: .notFound, body: "not found: /healthz, /readyz, /metrics and \(Self.prefix) are here\n")
    }

    /// nil: another path. What stands for the variable, or an empty text.
    static func match(_ template: String, _ path: Substring) -> String? {
        let wanted = template.split(separator: "/", omittingEmptySubsequences: false)
        let given = path.split(separator: "/", omittingEmptySubsequences: false)
        guard wanted.count == given.count else { return nil }
        var variable = ""
        for (want, have) in zip(wanted, given) {
            if want.hasPrefix("{") {
                guard !have.isEmpty else { return nil }
                variable = String(have)
            } else if want != have {
                return nil
            }
        }
        return variable
    }

    private static func unknownParameter(_ request: AdminRequest, _ route: Route) -> AdminAnswer? {
        let known = route.parameters.union(route.takesFilter ? DeliveryFilter.names : [])
        var seen: Set<String> = []
        for (name, _) in request.query {
            guard known.contains(name) else {
                let list = known.isEmpty ? "none" : known.sorted().joined(separator: ", ")
                return .problem(
                    .badRequest, "parameter-unknown", "a parameter is not known here; known are: \(list)")
            }
            guard seen.insert(name).inserted else {
                return .problem(.badRequest, "parameter-repeated", "\(name) is given twice; give it once")
            }
        }
        return nil
    }

    private func contents() -> AdminAnswer {
        .json([
            "version": .string(parts.version),
            "paths": .array(
                Self.routes.map {
                    ["method": .string($0.method.rawValue), "path": .string(Self.prefix + $0.template)]
                }),
        ])
    }

    // MARK: - Shared

    /// Time for one answer that reads the journal.
    static let workNanoseconds: UInt64 = 1_500_000_000

    static func badParameter(_ message: String) -> AdminAnswer { .problem(.badRequest, "parameter-wrong", message) }

    static func unreadable(_ error: JournalError) -> AdminAnswer {
        .problem(
            .internalServerError, "journal-unreadable",
            "the journal cannot be read: \(error.message). `grapnel journal verify` says what is damaged")
    }

    /// A sequence as it stands in a path.
    static func sequence(_ text: String) -> UInt64? {
        guard text.utf8.count <= 19, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let value = UInt64(text),
            value > 0, value < 1 << 62
        else { return nil }
        return value
    }

    static func unknownDelivery(_ text: String) -> AdminAnswer {
        .problem(
            .notFound, "delivery-unknown",
            "the journal has no delivery \(sequence(text).map(String.init) ?? "of that name"); "
                + "a delivery's number is in `Grapnel-Delivery` of its answer, and old ones go as --journal-max-bytes says"
        )
    }
}
