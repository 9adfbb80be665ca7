// DockerHubCallbackAction: tells Docker Hub that its webhook was heard. The address was checked when the delivery was planned
// (DockerHubCallback); redirects are not followed.

import Delivery

public struct DockerHubCallbackAction: ActionRunner {
    private let client: OutboundClient

    public init(client: OutboundClient) { self.client = client }

    public func run(_ attempt: ActionAttempt) async -> ActionResult {
        guard case .dockerHubCallback(_, let request) = attempt.action else {
            return .failed(ActionFailure(.final, scope: .none, reason: "not a docker-hub-callback action"))
        }
        do throws(OutboundClient.Failure) {
            let status = try await client.post(
                request.url, contentType: DockerHubCallback.contentType, body: request.body,
                seconds: Int64(DockerHubCallback.timeoutNanoseconds / 1_000_000_000))
            switch status {
            case 200..<300: return .done
            case 429, 500...: return failed(.judged, "Docker Hub answered \(status)")
            default: return failed(.final, "Docker Hub answered \(status)")
            }
        } catch {
            return failed(.judged, error.description)
        }
    }

    /// Counts as an attempt whatever happened: nobody waits for it for three days.
    private func failed(_ verdict: ActionFailure.Verdict, _ reason: String) -> ActionResult {
        .failed(ActionFailure(verdict, scope: .none, reason: reason))
    }
}
