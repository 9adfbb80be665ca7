// TokenRotation: notices that a Flux token changed, and keeps the path that it made alive for a while.
//
// A Flux path is computed from the token, so a new token is a new address. The sender still has the old address and the old token until
// somebody enters the new ones: for that long both work (DESIGN section 6). A leak is ended by a grace of 0, for all or by the
// annotation `grapnel.dev/path-grace: 0s` on the Receiver. What is alive is kept in a file for the owner only, so that it outlives
// a restart. A rotation that happens while no server runs is not noticed.

public import Catalog
public import Delivery
internal import Foundation
internal import Synchronization

public final class TokenRotation: Sendable {
    static let annotation = "grapnel.dev/path-grace"
    /// Of paths kept; the oldest go first.
    static let retiredMax = 10_000

    private struct State {
        var tokens: [RouteIdentity: SecretBytes] = [:]
        var retired: [RetiredPath]
    }

    private let graceSeconds: Int
    private let store: RetiredPathStore?
    private let state: Mutex<State>

    /// What changed in one look.
    public struct Change: Sendable {
        public var alive: [RetiredPath] = []
        public var begun: [RetiredPath] = []
        public var ended: [RetiredPath] = []
        /// Why the file could not be written.
        public var trouble: String?
    }

    /// `file`: nil keeps nothing over a restart. Throws when the file is there and cannot be read.
    public init(graceSeconds: Int, file: String?) throws {
        self.graceSeconds = graceSeconds
        let store = file.map { RetiredPathStore(path: $0) }
        self.store = store
        state = Mutex(State(retired: try store?.load() ?? []))
    }

    /// Compares with what was seen before. `tokens` and `receivers` are those of all Receivers there are; `now` in Unix seconds.
    public func observe(
        _ tokens: [RouteIdentity: SecretBytes], receivers: [RouteIdentity: ObjectFacts], now: Int
    ) -> Change {
        state.withLock { state in
            var change = Change()
            let before = state.retired
            for (identity, token) in tokens {
                if let old = state.tokens[identity], old != token, !old.isEmpty, let facts = receivers[identity] {
                    let grace = Self.grace(facts) ?? graceSeconds
                    let path = Self.path(old, identity)
                    if grace > 0 {
                        state.retired.removeAll { $0.identity == identity && $0.path == path }
                        state.retired.append(
                            RetiredPath(identity: identity, path: path, secret: old, expiresAt: now + grace))
                    }
                }
                state.tokens[identity] = token
            }
            // A token that is away for a moment is not forgotten: it may come back as another.
            state.tokens = state.tokens.filter { receivers[$0.key] != nil }
            state.retired.removeAll { retired in
                guard retired.expiresAt > now, let facts = receivers[retired.identity], !facts.isBeingDeleted else {
                    return true
                }
                let isCurrent = tokens[retired.identity].map { Self.path($0, retired.identity) } == retired.path
                return isCurrent || Self.grace(facts) == 0
            }
            if state.retired.count > Self.retiredMax {
                state.retired.removeFirst(state.retired.count - Self.retiredMax)
            }
            change.alive = state.retired
            change.begun = state.retired.filter { !before.contains($0) }
            change.ended = before.filter { !state.retired.contains($0) }
            if !change.begun.isEmpty || !change.ended.isEmpty { change.trouble = store?.save(state.retired) }
            return change
        }
    }

    /// Unix seconds at which the next path expires; nil when none is alive.
    public var nextExpiry: Int? { state.withLock { $0.retired.map(\.expiresAt).min() } }

    private static func grace(_ facts: ObjectFacts) -> Int? {
        facts.annotations[annotation].flatMap { try? Quantity.nanoseconds($0) }.map { Int($0 / 1_000_000_000) }
    }

    private static func path(_ token: SecretBytes, _ identity: RouteIdentity) -> String {
        WebhookPath.flux(token: token.bytes, name: identity.name, namespace: identity.namespace)
    }
}

/// The file: one JSON object a line, mode 0600, replaced as a whole.
private struct RetiredPathStore: Sendable {
    let path: String

    private struct Line: Codable {
        var cluster: String
        var namespace: String
        var name: String
        var path: String
        var secret: Data
        var expiresAt: Int
    }

    struct Unreadable: Error, CustomStringConvertible {
        let description: String
    }

    func load() throws -> [RetiredPath] {
        guard FileManager.default.fileExists(atPath: path) else { return [] }
        guard let data = FileManager.default.contents(atPath: path) else {
            throw Unreadable(description: "\(path) cannot be read: give it to the user of this server, mode 0600")
        }
        // A line that is damaged costs that path its grace, and nothing else.
        return data.split(separator: 0x0a).compactMap { bytes in
            guard let line = try? JSONDecoder().decode(Line.self, from: bytes) else { return nil }
            return RetiredPath(
                identity: RouteIdentity(
                    cluster: line.cluster, kind: .receiver, namespace: line.namespace, name: line.name),
                path: line.path, secret: SecretBytes(Array(line.secret)), expiresAt: line.expiresAt)
        }
    }

    /// nil when it was written; else why not.
    func save(_ retired: [RetiredPath]) -> String? {
        var data = Data()
        for retired in retired {
            let line = Line(
                cluster: retired.identity.cluster, namespace: retired.identity.namespace, name: retired.identity.name,
                path: retired.path, secret: Data(retired.secret.bytes), expiresAt: retired.expiresAt)
            guard let encoded = try? JSONEncoder().encode(line) else { continue }
            data += encoded + [0x0a]
        }
        let new = path + ".new"
        try? FileManager.default.removeItem(atPath: new)
        guard FileManager.default.createFile(atPath: new, contents: nil, attributes: [.posixPermissions: 0o600]),
            let handle = FileHandle(forWritingAtPath: new)
        else { return "\(new) cannot be created" }
        do {
            try handle.write(contentsOf: data)
            try handle.synchronize()
            try handle.close()
            guard unsafe rename(new, path) == 0 else { return "\(path) cannot be replaced" }
        } catch {
            return "\(new) cannot be written: \(error)"
        }
        return nil
    }
}
