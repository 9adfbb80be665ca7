// PlannedAction: what the journal remembers of an action, so that a restart knows what is owed and to whom.
//
// A `reconcile` entry carries the whole target: it can be carried out whatever the configuration says later. The other
// kinds carry only enough to be found again among the actions of the current route: a visible part (the URL's origin,
// the command's program) and a fingerprint of the rest, since the rest may hold credentials and the journal must not.
//
//     kind      code   target bytes
//     reconcile   1    cluster, apiVersion, kind, namespace, name: each UInt32 length (little-endian) and UTF-8;
//                      the length 0xFFFFFFFF means "no apiVersion"
//     http        2    fingerprint UInt64 (little-endian), origin as UTF-8
//     exec        3    fingerprint UInt64 (little-endian), program as UTF-8
//     log         4    nothing

public import Delivery

/// One entry of a plan.
public enum PlannedAction: Hashable, Sendable {
    case reconcile(TargetReference)
    case http(origin: String, fingerprint: UInt64)
    case exec(program: String, fingerprint: UInt64)
    case log

    /// What a plan says of `action`.
    public init(_ action: Action) {
        switch action {
        case .reconcile(let target): self = .reconcile(target)
        case .http(let url, _, _): self = .http(origin: Self.origin(of: url), fingerprint: Self.fingerprint([url]))
        case .exec(let command, _):
            self = .exec(program: command.first ?? "", fingerprint: Self.fingerprint(command))
        case .log: self = .log
        }
    }

    /// Whether `action` of the current route is the one that was planned.
    public func matches(_ action: Action) -> Bool { self == PlannedAction(action) }

    /// Whether it can be carried out only with what the current route says.
    var needsRoute: Bool { if case .reconcile = self { false } else { true } }

    /// The word for logs and for the metric label `action`.
    public var name: String {
        switch self {
        case .reconcile: "reconcile"
        case .http: "http"
        case .exec: "exec"
        case .log: "log"
        }
    }

    /// What is acted on, for logs and operators; holds no credential.
    public var targetText: String {
        switch self {
        case .reconcile(let target): target.description
        case .http(let origin, _): origin
        case .exec(let program, _): program
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
    private static let absent: UInt32 = 0xffff_ffff

    /// The code that the journal stores.
    public var kindCode: UInt8 {
        switch self {
        case .reconcile: 1
        case .http: 2
        case .exec: 3
        case .log: 4
        }
    }

    /// The entry to be written.
    public var encoded: EncodedPlanEntry {
        var bytes: [UInt8] = []
        switch self {
        case .reconcile(let target):
            for text in [target.cluster, target.apiVersion, target.kind, target.namespace, target.name] {
                guard let text else {
                    bytes.append(littleEndian: Self.absent)
                    continue
                }
                bytes.append(littleEndian: UInt32(text.utf8.count))
                bytes.append(contentsOf: text.utf8)
            }
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
            var texts: [String?] = []
            for _ in 0..<5 {
                guard let count = rest.takeLittleEndian(UInt32.self) else { return nil }
                if count == Self.absent {
                    texts.append(nil)
                    continue
                }
                guard count <= rest.count, let text = String(validating: rest.prefix(Int(count)), as: UTF8.self) else {
                    return nil
                }
                texts.append(text)
                rest = rest.dropFirst(Int(count))
            }
            guard rest.isEmpty, let cluster = texts[0], let kind = texts[2], let namespace = texts[3],
                let name = texts[4]
            else { return nil }
            self = .reconcile(
                TargetReference(cluster: cluster, apiVersion: texts[1], kind: kind, namespace: namespace, name: name))
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

extension [UInt8] {
    fileprivate mutating func append(littleEndian value: some FixedWidthInteger) {
        for shift in stride(from: 0, to: value.bitWidth, by: 8) { append(UInt8(truncatingIfNeeded: value >> shift)) }
    }
}

extension ArraySlice<UInt8> {
    fileprivate mutating func takeLittleEndian<Value: FixedWidthInteger>(_: Value.Type) -> Value? {
        let byteCount = Value.bitWidth / 8
        guard count >= byteCount else { return nil }
        let value = prefix(byteCount).reversed().reduce(Value(0)) { $0 << 8 | Value(truncatingIfNeeded: $1) }
        self = dropFirst(byteCount)
        return value
    }
}
