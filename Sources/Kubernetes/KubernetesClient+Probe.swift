// One look at the API server itself: is it there, what is it, and what time does it think it is.

import AsyncHTTPClient
public import Foundation
import NIOCore
import NIOFoundationCompat
import NIOHTTP1

/// What `/version` said.
public struct ServerProbe: Sendable {
    /// `gitVersion`, such as `v1.34.1`; at most 80 printable characters.
    public var version: String
    /// The answer's Date field (RFC 9110 section 6.6.1); nil when there is none.
    public var date: Date?
}

extension KubernetesClient {
    /// Asks for the version. Bounded like any single call; a refusal is an error as of every other call.
    public func probe() async throws(KubernetesError) -> ServerProbe {
        let call = KubernetesCall(verb: "get", group: "", resource: "/version")
        let (request, _) = try await request(.GET, "/version", call, Content())
        let bounds = callBounds
        let (answer, date): (Answer, String?)
        do {
            (answer, date) = try await withDeadline(seconds: bounds.timeoutSeconds) { [http] in
                let response = try await http.execute(request, timeout: .seconds(Int64(bounds.timeoutSeconds)))
                var answer = Answer(status: Int(response.status.code), retryAfter: nil)
                answer.body = Data(buffer: try await response.body.collect(upTo: bounds.bodyBytesMax))
                return (answer, response.headers.first(name: "Date"))
            }
        } catch {
            throw Self.failure(call, error, bounds)
        }
        guard (200..<300).contains(answer.status) else { throw Self.refusal(call, answer) }
        struct Version: Decodable { var gitVersion: String }
        guard let version = try? JSONDecoder().decode(Version.self, from: answer.body) else {
            throw KubernetesError(call: call, cause: .unreadableAnswer("no version"))
        }
        return ServerProbe(
            version: KubernetesError.printable(version.gitVersion, 80), date: date.flatMap { Self.date($0) })
    }

    /// IMF-fixdate, the one form that servers send.
    private static func date(_ text: String) -> Date? {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(secondsFromGMT: 0)
        formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        return formatter.date(from: text)
    }
}
