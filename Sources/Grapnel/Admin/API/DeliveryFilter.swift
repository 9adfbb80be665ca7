// DeliveryFilter: which deliveries are meant: of a list, of the events, of a redelivery. All that is given must hold.
//
//   since, until      time of receipt: RFC 3339, seconds since 1970, or a duration ago (15m, 2h, 7d)
//   route             Kind/namespace/name, namespace/name, or name
//   namespace, cluster, sender
//   delivery          the sender's delivery id
//   outcome           accepted | ignored | duplicate | done | failed | dead | owed | merged; several: separated by commas
//   repository, ref, commit    of the event: the body is decoded for these, so they cost more

internal import Catalog
internal import Delivery
internal import Foundation

struct DeliveryFilter: Sendable, Equatable {
    /// What a list may ask for. `accepted` is a decision (everything that was not ignored and no duplicate); the others are states.
    enum OutcomeWord: String, Sendable, CaseIterable {
        case accepted, ignored, duplicate, done, failed, dead, owed, merged
    }

    /// A parameter that cannot be understood. Says what would be right.
    struct Problem: Error, Equatable {
        var message: String
        init(_ message: String) { self.message = message }
    }

    static let names: Set<String> = [
        "since", "until", "route", "namespace", "cluster", "sender", "delivery", "outcome", "repository", "ref",
        "commit",
    ]
    private static let textBytesMax = 512

    /// Nanoseconds since 1970; `until` is outside.
    var since: UInt64?
    var until: UInt64?
    var route: RoutePattern?
    var namespace: String?
    var cluster: String?
    var sender: SenderType?
    var deliveryID: String?
    var outcomes: Set<OutcomeWord> = []
    var repository: String?
    var ref: String?
    var commit: String?

    /// Kind, namespace and name as far as they are given.
    struct RoutePattern: Sendable, Equatable {
        var kind: ReceiverKind?
        var namespace: String?
        var name: String

        init?(_ text: String) {
            let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
            guard parts.allSatisfy({ !$0.isEmpty }), (1...3).contains(parts.count) else { return nil }
            name = parts[parts.count - 1]
            if parts.count > 1 { namespace = parts[parts.count - 2] }
            if parts.count > 2 {
                guard let kind = ReceiverKind.allCases.first(where: { $0.name.lowercased() == parts[0].lowercased() })
                else { return nil }
                self.kind = kind
            }
        }

        func matches(_ route: RouteIdentity) -> Bool {
            route.name == name && (namespace ?? route.namespace) == route.namespace
                && (kind ?? route.kind) == route.kind
        }
    }

    init() {}

    /// `now` in nanoseconds since 1970. Parameters that are no filter are left to others.
    init(_ parameters: [(name: String, value: String)], now: UInt64) throws(Problem) {
        var seen: Set<String> = []
        for (name, value) in parameters where Self.names.contains(name) {
            guard seen.insert(name).inserted else { throw Problem("\(name) is given twice; give it once") }
            guard !value.isEmpty, value.utf8.count <= Self.textBytesMax else {
                throw Problem("\(name) has 1 to \(Self.textBytesMax) bytes")
            }
            try take(name, value, now)
        }
        if let since, let until, since > until { throw Problem("since is later than until; nothing is meant") }
    }

    private mutating func take(_ name: String, _ value: String, _ now: UInt64) throws(Problem) {
        switch name {
        case "since": since = try Self.time(name, value, now)
        case "until": until = try Self.time(name, value, now)
        case "route":
            guard let pattern = RoutePattern(value) else {
                throw Problem("route is Kind/namespace/name, namespace/name or name, such as Hook/team-a/webapp")
            }
            route = pattern
        case "namespace": namespace = value
        case "cluster": cluster = value
        case "sender":
            guard let type = SenderType.allCases.first(where: { $0.name == value }) else {
                throw Problem("sender is one of \(SenderType.allCases.map(\.name).joined(separator: ", "))")
            }
            sender = type
        case "delivery": deliveryID = value
        case "outcome":
            for word in value.split(separator: ",", omittingEmptySubsequences: false) {
                guard let outcome = OutcomeWord(rawValue: String(word)) else {
                    throw Problem(
                        "outcome is one of \(OutcomeWord.allCases.map(\.rawValue).joined(separator: ", ")), or several with commas"
                    )
                }
                outcomes.insert(outcome)
            }
        case "repository": repository = value
        case "ref": ref = value
        case "commit":
            guard value.utf8.count >= 4 else { throw Problem("commit has at least its first 4 digits") }
            commit = value.lowercased()
        default: break
        }
    }

    private static func time(_ name: String, _ value: String, _ now: UInt64) throws(Problem) -> UInt64 {
        if let seconds = UInt64(value), seconds < 1 << 33 { return seconds * 1_000_000_000 }
        if let ago = try? Quantity.nanoseconds(value, allowDays: true) { return now > ago ? now - ago : 0 }
        for fractions in [false, true] {
            let style = Date.ISO8601FormatStyle(includingFractionalSeconds: fractions)
            if let date = try? style.parse(value), date.timeIntervalSince1970 >= 0, date.timeIntervalSince1970 < 8e9 {
                return UInt64(date.timeIntervalSince1970 * 1000) * 1_000_000
            }
        }
        throw Problem(
            "\(name) is a time such as 2026-05-01T12:00:00Z, seconds since 1970, or a duration ago such as 15m, 2h, 7d")
    }

    /// Everything but the delivery id and what the body says, by what the journal says of the delivery alone.
    func matches(_ delivery: IndexedDelivery, of identity: RouteIdentity?) -> Bool {
        delivery.matches(outcomes) && matchesButOutcome(delivery, of: identity)
    }

    func matchesButOutcome(_ delivery: IndexedDelivery, of identity: RouteIdentity?) -> Bool {
        if let since, delivery.received < since { return false }
        if let until, delivery.received >= until { return false }
        if let sender, delivery.sender != sender.rawValue { return false }
        return isMeant(identity)
    }

    /// Whether deliveries of a route are meant, as far as it alone says.
    func isMeant(_ identity: RouteIdentity?) -> Bool {
        guard route != nil || namespace != nil || cluster != nil else { return true }
        guard let identity else { return false }
        return (route?.matches(identity) ?? true) && (namespace ?? identity.namespace) == identity.namespace
            && (cluster ?? identity.cluster) == identity.cluster
    }

    /// Whether the event has to be decoded to decide.
    var readsBody: Bool { repository != nil || ref != nil || commit != nil }

    /// Whether an event is meant, as far as the filter asks.
    func matches(_ event: Event) -> Bool {
        if let repository, !Self.names(repository, event) { return false }
        if let ref {
            guard let found = event.ref, found == ref || found == "refs/heads/\(ref)" || found == "refs/tags/\(ref)"
            else { return false }
        }
        if let commit {
            guard let found = event.commit?.lowercased(), found.hasPrefix(commit) else { return false }
        }
        return true
    }

    private static func names(_ repository: String, _ event: Event) -> Bool {
        let wanted = repository.lowercased()
        let found = [event.repository, event.repositoryURL, event.image].compactMap { $0 } + event.repositoryURLs
        return found.contains { $0.lowercased() == wanted }
    }
}

/// Where a list goes on. Opaque to clients: what is in it may change with any version.
struct PageCursor: Sendable, Equatable {
    /// The next page begins below this sequence.
    var before: UInt64

    init(before: UInt64) { self.before = before }

    private static let mark = "gd1."
    private static let bytesMax = 64

    init?(_ text: String) {
        guard text.utf8.count <= Self.bytesMax, !text.isEmpty else { return nil }
        var base64 = text.replacing("-", with: "+").replacing("_", with: "/")
        base64 += String(repeating: "=", count: (4 - base64.utf8.count % 4) % 4)
        guard let data = Data(base64Encoded: base64), let plain = String(validating: data, as: UTF8.self),
            plain.hasPrefix(Self.mark), let before = UInt64(plain.dropFirst(Self.mark.count)), before < 1 << 62,
            PageCursor(before: before).text == text
        else { return nil }
        self.before = before
    }

    var text: String {
        Data("\(Self.mark)\(before)".utf8).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
            .replacing("=", with: "")
    }
}
