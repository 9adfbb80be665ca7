// PlannedAction: what the journal remembers of an action, so that a restart knows what is owed and to whom.
//
// Entries that act on an object carry the whole target and what is to be said to it: they can be carried out whatever the
// configuration says later. The other kinds carry only enough to be found again among the actions of the current route: a visible part (the URL's origin,
// the command's program) and a fingerprint of the rest, since the rest may hold credentials and the journal must not.
//
//     kind      code   target bytes
//     reconcile   1    cluster, apiVersion, kind, namespace, name: each UInt32 length (little-endian) and UTF-8;
//                      the length 0xFFFFFFFF means "no apiVersion"
//     http        2    fingerprint UInt64 (little-endian), origin as UTF-8
//     exec        3    fingerprint UInt64 (little-endian), program as UTF-8
//     log         4    nothing
//     openshift-build 5, s2i-run 6
//                      the target's five texts as in reconcile, then the object to be created, as JSON
//     kpack-refresh 7  the target's five texts, UInt8 (1: force a build), the image as UTF-8
//     openshift-relay 9
//                      the target's five texts, the webhook's type as UTF-8
//     docker-hub-callback 8
//                      the five texts of the object it follows (all empty: none), UInt32 length and the URL, the body

public import Delivery

/// One entry of a plan.
public enum PlannedAction: Hashable, Sendable {
    case reconcile(TargetReference)
    case http(origin: String, fingerprint: UInt64)
    case exec(program: String, fingerprint: UInt64)
    case log
    case openshiftBuild(TargetReference, buildRequest: [UInt8])
    case s2iRun(TargetReference, run: [UInt8])
    case kpackRefresh(TargetReference, image: String, forceBuild: Bool)
    case dockerHubCallback(after: TargetReference?, DockerHubCallback.Request)
    case openshiftRelay(TargetReference, type: String)

    /// What a plan says of `action`.
    public init(_ action: Action) {
        switch action {
        case .reconcile(let target): self = .reconcile(target)
        case .http(let url, _, _): self = .http(origin: Self.origin(of: url), fingerprint: Self.fingerprint([url]))
        case .exec(let command, _):
            self = .exec(program: command.first ?? "", fingerprint: Self.fingerprint(command))
        case .log: self = .log
        case .openshiftBuild(let target, let request): self = .openshiftBuild(target, buildRequest: request)
        case .s2iRun(let target, let run): self = .s2iRun(target, run: run)
        case .kpackRefresh(let target, let image, let force):
            self = .kpackRefresh(target, image: image, forceBuild: force)
        case .dockerHubCallback(let target, let request): self = .dockerHubCallback(after: target, request)
        case .openshiftRelay(let target, let type): self = .openshiftRelay(target, type: type)
        }
    }

    /// The object that is acted on; nil where none is.
    var target: TargetReference? {
        switch self {
        case .reconcile(let target), .openshiftBuild(let target, _), .s2iRun(let target, _),
            .kpackRefresh(let target, _, _), .openshiftRelay(let target, _):
            target
        case .http, .exec, .log, .dockerHubCallback: nil
        }
    }

    /// The cluster of the object that is acted on; nil where none is: then a target is of its route's cluster.
    public var targetCluster: String? { target?.cluster }

    /// What is to be done, where the entry says it all.
    var selfContained: Action? {
        switch self {
        case .reconcile(let target): .reconcile(target)
        case .openshiftBuild(let target, let request): .openshiftBuild(target, buildRequest: request)
        case .s2iRun(let target, let run): .s2iRun(target, run: run)
        case .kpackRefresh(let target, let image, let force): .kpackRefresh(target, image: image, forceBuild: force)
        case .dockerHubCallback(let target, let request): .dockerHubCallback(after: target, request)
        case .openshiftRelay(let target, let type): .openshiftRelay(target, type: type)
        case .http, .exec, .log: nil
        }
    }

    /// Doing it once for several deliveries is as good as doing it for each (DESIGN section 7).
    var isLevelTriggered: Bool {
        switch self {
        case .reconcile, .kpackRefresh: true
        case .http, .exec, .log, .openshiftBuild, .s2iRun, .dockerHubCallback, .openshiftRelay: false
        }
    }

    /// Bytes of what it says beside its target.
    var byteCount: Int {
        switch self {
        case .openshiftBuild(_, let object), .s2iRun(_, let object): object.count
        case .dockerHubCallback(_, let request): request.url.utf8.count + request.body.count
        case .reconcile, .kpackRefresh, .http, .exec, .log, .openshiftRelay: 0
        }
    }

    /// Creates something each time: two of one ref must not change places.
    var isBuild: Bool {
        switch self {
        case .openshiftBuild, .s2iRun, .openshiftRelay: true
        case .reconcile, .kpackRefresh, .http, .exec, .log, .dockerHubCallback: false
        }
    }

    /// The same, for an action that is still to be planned.
    static func isBuild(_ action: Action) -> Bool {
        switch action {
        case .openshiftBuild, .s2iRun, .openshiftRelay: true
        case .reconcile, .kpackRefresh, .http, .exec, .log, .dockerHubCallback: false
        }
    }

    /// The same, for a code of the journal.
    static func isBuild(kindCode: UInt8) -> Bool { [5, 6, 9].contains(kindCode) }

    /// Whether two deliveries may plan different things for the same queue.
    var isOfOneDelivery: Bool {
        switch self {
        case .openshiftBuild, .s2iRun, .dockerHubCallback, .openshiftRelay: true
        case .reconcile, .kpackRefresh, .http, .exec, .log: false
        }
    }

    /// Whether `action` of the current route is the one that was planned.
    public func matches(_ action: Action) -> Bool { self == PlannedAction(action) }

    /// Whether one may be left to the other when deliveries are merged. Where each delivery asks for something of its own, what it is asked
    /// of counts.
    public func canMerge(with other: PlannedAction) -> Bool {
        self == other
            || isOfOneDelivery && kindCode == other.kindCode && target == other.target && targetText == other.targetText
    }

    /// Whether it can be carried out only with what the current route says.
    var needsRoute: Bool { selfContained == nil }

    /// The word for logs and for the metric label `action`.
    public var name: String {
        switch self {
        case .reconcile: "reconcile"
        case .http: "http"
        case .exec: "exec"
        case .log: "log"
        case .openshiftBuild: "openshift-build"
        case .s2iRun: "s2i-run"
        case .kpackRefresh: "kpack-refresh"
        case .dockerHubCallback: "docker-hub-callback"
        case .openshiftRelay: "openshift-relay"
        }
    }

    /// What is acted on, for logs and operators; holds no credential.
    public var targetText: String {
        switch self {
        case .reconcile(let target), .openshiftBuild(let target, _), .s2iRun(let target, _),
            .kpackRefresh(let target, _, _), .openshiftRelay(let target, _):
            target.description
        case .http(let origin, _): origin
        case .exec(let program, _): program
        case .dockerHubCallback(_, let request): Self.origin(of: request.url)
        case .log: ""
        }
    }

    /// `scheme://host:port` of a URL, in lower case, without user, path and query.
    static func origin(of url: String) -> String {
        guard let scheme = url.firstRange(of: "://") else { return "" }
        var authority = url[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        if let at = authority.lastIndex(of: "@") { authority = authority[authority.index(after: at)...] }
        return (url[..<scheme.upperBound] + authority).lowercased()
    }

    /// FNV-1a, 64 bits, over the parts, each ended by a zero byte: tells entries of one route apart, proves nothing.
    static func fingerprint(_ parts: [String]) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for part in parts {
            for byte in part.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
            hash = hash &* 0x0000_0100_0000_01b3
        }
        return hash
    }
}

// MARK: - The bytes in the journal

/// A plan entry as the journal stores it.
public struct EncodedPlanEntry: Sendable, Equatable {
    public var actionKind: UInt8
    public var target: [UInt8]

    public init(actionKind: UInt8, target: [UInt8]) {
        self.actionKind = actionKind
        self.target = target
    }
}

extension PlannedAction {
    /// Stands for a target that is not there.
    private static let nowhere = TargetReference(cluster: "", apiVersion: nil, kind: "", namespace: "", name: "")

    /// The code that the journal stores.
    public var kindCode: UInt8 {
        switch self {
        case .reconcile: 1
        case .http: 2
        case .exec: 3
        case .log: 4
        case .openshiftBuild: 5
        case .s2iRun: 6
        case .kpackRefresh: 7
        case .dockerHubCallback: 8
        case .openshiftRelay: 9
        }
    }

    /// The entry to be written.
    public var encoded: EncodedPlanEntry {
        var bytes: [UInt8] = []
        switch self {
        case .reconcile(let target): bytes.append(target)
        case .openshiftBuild(let target, let object), .s2iRun(let target, let object):
            bytes.append(target)
            bytes += object
        case .kpackRefresh(let target, let image, let force):
            bytes.append(target)
            bytes.append(force ? 1 : 0)
            bytes += image.utf8
        case .openshiftRelay(let target, let type):
            bytes.append(target)
            bytes += type.utf8
        case .dockerHubCallback(let target, let request):
            bytes.append(target ?? Self.nowhere)
            bytes.append(littleEndian: UInt32(request.url.utf8.count))
            bytes += request.url.utf8
            bytes += request.body
        case .http(let text, let fingerprint), .exec(let text, let fingerprint):
            bytes.append(littleEndian: fingerprint)
            bytes.append(contentsOf: text.utf8)
        case .log: break
        }
        return EncodedPlanEntry(actionKind: kindCode, target: bytes)
    }

    /// Reads an entry; nil when the bytes are not exactly one entry. Total: any bytes are allowed.
    public init?(_ entry: EncodedPlanEntry) {
        var rest = entry.target[...]
        switch entry.actionKind {
        case 1:
            guard let target = rest.takeTarget(), rest.isEmpty else { return nil }
            self = .reconcile(target)
        case 5, 6:
            guard let target = rest.takeTarget(), !rest.isEmpty else { return nil }
            self =
                entry.actionKind == 5
                ? .openshiftBuild(target, buildRequest: Array(rest)) : .s2iRun(target, run: Array(rest))
        case 7:
            guard let target = rest.takeTarget(), let force = rest.popFirst(), force <= 1,
                let image = String(validating: rest, as: UTF8.self)
            else { return nil }
            self = .kpackRefresh(target, image: image, forceBuild: force == 1)
        case 9:
            guard let target = rest.takeTarget(), let type = String(validating: rest, as: UTF8.self) else { return nil }
            self = .openshiftRelay(target, type: type)
        case 8:
            guard let target = rest.takeTarget(), let count = rest.takeLittleEndian(UInt32.self), count <= rest.count,
                let url = String(validating: rest.prefix(Int(count)), as: UTF8.self)
            else { return nil }
            let body = Array(rest.dropFirst(Int(count)))
            self = .dockerHubCallback(
                after: target == Self.nowhere ? nil : target, DockerHubCallback.Request(url: url, body: body))
        case 2, 3:
            guard let fingerprint = rest.takeLittleEndian(UInt64.self),
                let text = String(validating: rest, as: UTF8.self)
            else { return nil }
            self =
                entry.actionKind == 2
                ? .http(origin: text, fingerprint: fingerprint) : .exec(program: text, fingerprint: fingerprint)
        case 4:
            guard rest.isEmpty else { return nil }
            self = .log
        default: return nil
        }
    }
}

/// Stands for a text that is not there.
private let absentText: UInt32 = 0xffff_ffff

extension [UInt8] {
    fileprivate mutating func append(_ target: TargetReference) {
        for text in [target.cluster, target.apiVersion, target.kind, target.namespace, target.name] {
            guard let text else {
                append(littleEndian: absentText)
                continue
            }
            append(littleEndian: UInt32(text.utf8.count))
            append(contentsOf: text.utf8)
        }
    }

    fileprivate mutating func append(littleEndian value: some FixedWidthInteger) {
        for shift in stride(from: 0, to: value.bitWidth, by: 8) { append(UInt8(truncatingIfNeeded: value >> shift)) }
    }
}

extension ArraySlice<UInt8> {
    /// nil when the slice does not begin with a target.
    fileprivate mutating func takeTarget() -> TargetReference? {
        var texts: [String?] = []
        for _ in 0..<5 {
            guard let count = takeLittleEndian(UInt32.self) else { return nil }
            if count == absentText {
                texts.append(nil)
                continue
            }
            guard count <= self.count, let text = String(validating: prefix(Int(count)), as: UTF8.self) else {
                return nil
            }
            texts.append(text)
            self = dropFirst(Int(count))
        }
        guard let cluster = texts[0], let kind = texts[2], let namespace = texts[3], let name = texts[4] else {
            return nil
        }
        return TargetReference(
            cluster: cluster, apiVersion: texts[1], kind: kind, namespace: namespace, name: name)
    }

    fileprivate mutating func takeLittleEndian<Value: FixedWidthInteger>(_: Value.Type) -> Value? {
        let byteCount = Value.bitWidth / 8
        guard count >= byteCount else { return nil }
        let value = prefix(byteCount).reversed().reduce(Value(0)) { $0 << 8 | Value(truncatingIfNeeded: $1) }
        self = dropFirst(byteCount)
        return value
    }
}
