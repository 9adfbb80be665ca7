// AdminGuard: who may use the API.
//
//   listener            token file    API
//   --metrics-listen    any           never here: 404
//   loopback            none          open to whoever is on this machine, under a name of this machine alone (DNS rebinding)
//   other               none          403: set --admin-token-file
//   any                 given         Authorization: Bearer TOKEN, else 401; while the file cannot be read: 503
//
// A browser cannot be made to act for its user: no answer allows another origin, and what changes something takes JSON only, which no
// form can send without asking first (Fetch standard, "CORS-safelisted request-header").
// Source: RFC 6750 (bearer tokens).

internal import CLinuxIO
internal import Delivery
internal import Foundation
internal import NIOHTTP1
internal import Synchronization

final class AdminGuard: Sendable {
    /// Longer files are no token.
    private static let tokenBytesMax = 4096

    private let tokenFile: String?
    private let kept = Mutex<Kept?>(nil)

    private struct Kept {
        var stamp: Stamp
        /// nil: the file holds no token.
        var token: SecretBytes?
    }

    /// What tells that a file has changed.
    private struct Stamp: Equatable {
        var device: UInt64
        var inode: UInt64
        var size: Int64
        var seconds: Int
        var nanoseconds: Int
        var changeSeconds: Int
        var changeNanoseconds: Int
    }

    init(tokenFile: String?) { self.tokenFile = tokenFile }

    /// nil when the request may go on.
    func refusal(of request: AdminRequest) -> AdminAnswer? {
        guard request.listener == .full else {
            return .problem(
                .notFound, "not-found", "this address serves health and metrics; the API is on --admin-listen")
        }
        if let tokenFile {
            if let refusal = tokenRefusal(request, tokenFile) { return refusal }
        } else if !request.isOnLoopback {
            return .problem(
                .forbidden, "no-token",
                "the API is closed: --admin-listen is reachable from outside and there is no token. "
                    + "Start the server with --admin-token-file FILE, or listen on 127.0.0.1")
        } else if !Self.isOfThisMachine(request.headers) {
            return .problem(
                .forbidden, "host-unknown",
                "without a token the API is used as 127.0.0.1, [::1] or localhost; "
                    + "for another name start the server with --admin-token-file FILE")
        }
        return originRefusal(request)
    }

    // MARK: - Token

    private func tokenRefusal(_ request: AdminRequest, _ file: String) -> AdminAnswer? {
        guard let token = token(in: file) else {
            return .problem(
                .serviceUnavailable, "token-unusable",
                "the file of --admin-token-file cannot be read, is empty, or is larger than \(Self.tokenBytesMax) bytes; "
                    + "it is looked at again with the next request")
        }
        let values = request.headers["Authorization"]
        guard let value = values.first, values.count == 1, value.utf8.count <= 2 * Self.tokenBytesMax,
            value.lowercased().hasPrefix("bearer ")
        else {
            return unauthorized(
                "Bearer realm=\"grapnel\"", "token-missing", "send the token as `Authorization: Bearer TOKEN`")
        }
        let given = value.dropFirst(7).drop { $0 == " " }
        guard token.matches(given.utf8) else {
            return unauthorized(
                "Bearer realm=\"grapnel\", error=\"invalid_token\"", "token-wrong",
                "the token is not the one in the file of --admin-token-file")
        }
        return nil
    }

    private func unauthorized(_ challenge: String, _ code: String, _ message: String) -> AdminAnswer {
        var answer = AdminAnswer.problem(.unauthorized, code, message)
        answer.fields = [("WWW-Authenticate", challenge)]
        return answer
    }

    /// The file's text without blanks at its ends; read again when the file has changed.
    private func token(in file: String) -> SecretBytes? {
        kept.withLock { kept in
            guard let stamp = Self.stamp(file) else {
                kept = nil
                return nil
            }
            if let kept, kept.stamp == stamp { return kept.token }
            guard case .success(let bytes) = SmallFile.read(file, bytesMax: Self.tokenBytesMax) else {
                kept = nil
                return nil
            }
            let token = Self.trimmed(bytes)
            kept = Kept(stamp: stamp, token: token.isEmpty ? nil : SecretBytes(token))
            return kept?.token
        }
    }

    static func trimmed(_ bytes: [UInt8]) -> [UInt8] {
        func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d }
        var rest = bytes[...].drop(while: isBlank)
        while let last = rest.last, isBlank(last) { rest = rest.dropLast() }
        return Array(rest)
    }

    private static func stamp(_ file: String) -> Stamp? {
        var status = Foundation.stat()
        guard unsafe stat(file, &status) == 0 else { return nil }
        return Stamp(
            device: UInt64(status.st_dev), inode: UInt64(status.st_ino), size: Int64(status.st_size),
            seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec,
            changeSeconds: status.st_ctim.tv_sec, changeNanoseconds: status.st_ctim.tv_nsec)
    }

    /// Why the token file should be looked at; nil when all is well. For the log at the start.
    static func warning(tokenFile: String) -> String? {
        var status = Foundation.stat()
        guard unsafe stat(tokenFile, &status) == 0 else {
            return
                "--admin-token-file \(tokenFile): \(SmallFile.text(of: errno)); until it is there the API answers 503"
        }
        guard status.st_mode & 0o077 == 0 else {
            return "--admin-token-file \(tokenFile) may be read by others; chmod 0600 it"
        }
        return nil
    }

    // MARK: - Browsers

    /// Whether the Host field names this machine, with any port.
    static func isOfThisMachine(_ headers: HTTPHeaders) -> Bool {
        let values = headers["Host"]
        guard values.count == 1, let host = values.first.map(hostName) else { return false }
        return host == "localhost" || host == "::1" || isLoopback4(host)
    }

    private static func isLoopback4(_ host: String) -> Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// Without port and brackets, in lower case.
    private static func hostName(_ value: String) -> String {
        let text = value.lowercased()
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            return String(text[text.index(after: text.startIndex)..<end])
        }
        return String(text.prefix { $0 != ":" })
    }

    private func originRefusal(_ request: AdminRequest) -> AdminAnswer? {
        guard request.method == .POST else { return nil }
        let type = request.headers["Content-Type"].first?.prefix { $0 != ";" }.lowercased()
        guard type?.trimmingCharacters(in: .whitespaces) == "application/json" else {
            return .problem(
                .unsupportedMediaType, "not-json", "send JSON with `Content-Type: application/json`, at least {}")
        }
        let host = request.headers["Host"].first?.lowercased() ?? ""
        if let origin = request.headers["Origin"].first?.lowercased(), origin != "http://\(host)",
            origin != "https://\(host)"
        {
            return .problem(.forbidden, "other-origin", "pages of other origins may not use the API")
        }
        return nil
    }
}
