// TokenSource: the bearer token of a request. A token in a file is read again when the file's modification time, size
// or inode changes (the kubelet replaces it by a symbolic link's switch), at most once a second.

import Foundation
import Synchronization

final class TokenSource: Sendable {
    private struct Cache {
        var token: String?
        var stamp: Stamp?
        var checkedAt: ContinuousClock.Instant?
    }

    private struct Stamp: Equatable {
        var modified: Date?
        var bytes: Int?
        var inode: Int?
    }

    /// A file problem, without the file's content.
    struct Unreadable: Error { var reason: String }

    private let token: Kubeconfig.BearerToken
    private let cache = Mutex(Cache())
    private let checkInterval: Duration

    init(_ token: Kubeconfig.BearerToken, checkInterval: Duration = .seconds(1)) {
        self.token = token
        self.checkInterval = checkInterval
    }

    /// The token now, or nil when requests carry none.
    func current() throws(Unreadable) -> String? {
        switch token {
        case .none: return nil
        case .inline(let secret): return secret.value
        case .file(let path):
            do {
                return try cache.withLock { (cache) throws(Unreadable) in try Self.read(path, &cache, checkInterval) }
            } catch { throw error }
        }
    }

    /// Forgets what was read: the server refused the token, perhaps it was replaced within the second.
    func invalidate() {
        cache.withLock { $0 = Cache() }
    }

    private static func read(_ path: String, _ cache: inout Cache, _ interval: Duration) throws(Unreadable) -> String {
        let now = ContinuousClock.now
        if let token = cache.token, let checkedAt = cache.checkedAt, now - checkedAt < interval { return token }
        let resolved = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        let attributes = try? FileManager.default.attributesOfItem(atPath: resolved)
        let stamp = Stamp(
            modified: attributes?[.modificationDate] as? Date, bytes: attributes?[.size] as? Int,
            inode: attributes?[.systemFileNumber] as? Int)
        if let token = cache.token, cache.stamp == stamp, attributes != nil {
            cache.checkedAt = now
            return token
        }
        let text: String
        do {
            text = try String(contentsOfFile: path, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
        } catch {
            // A token that still works is better than none while the file is being replaced.
            if let token = cache.token { return token }
            throw Unreadable(reason: "token file \(path): \(Kubeconfig.readableReason(error))")
        }
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
            if let token = cache.token { return token }
            throw Unreadable(reason: "token file \(path) is empty or holds more than a token")
        }
        cache = Cache(token: text, stamp: stamp, checkedAt: now)
        return text
    }
}
