// FluxPresence: whether Flux's own notification-controller runs in this cluster. Decides for `--receiver-status auto`: beside a live one we
// read what it writes, without one we write it ourselves.
//
// Its leader election Lease tells: a controller that lives renews it every few seconds. Where the Lease may not be read, the
// managers of the Receivers' status are all there is: then the careful answer is that it lives.

internal import Catalog
internal import Delivery
internal import Foundation
public import Kubernetes
internal import Synchronization

public final class FluxPresence: Sendable {
    public enum Answer: Sendable, Equatable {
        case live(String)
        case absent(String)
    }

    /// Names under which releases of notification-controller write (field managers).
    static let managers: Set<String> = ["notification-controller", "gotk-notification-controller"]
    static let leaseName = "notification-controller-leader-election"

    private struct Seen {
        var renewTime: String
        var changedAt: ContinuousClock.Instant
    }

    private let client: KubernetesClient
    private let namespace: String
    private let seen = Mutex<Seen?>(nil)

    /// A Lease that was not renewed for so long has no living holder (Flux: lease 35 s).
    static let staleAfter = Duration.seconds(60)

    /// `namespace`: where Flux runs, `flux-system` unless told.
    public init(_ client: KubernetesClient, namespace: String = "flux-system") {
        self.client = client
        self.namespace = namespace
    }

    /// `statusManagers`: of all Receivers.
    public func look(statusManagers: Set<String>) async -> Answer {
        let place = "Lease/\(namespace)/\(Self.leaseName)"
        do throws(KubernetesError) {
            let body = try await client.get(
                apiVersion: "coordination.k8s.io/v1", kind: "Lease", plural: "leases", namespace: namespace,
                name: Self.leaseName)
            guard let renewTime = JSONValue(body)?["spec"]?["renewTime"]?.text else {
                return .absent("\(place) has no holder")
            }
            return judge(renewTime, place)
        } catch {
            if error.isObjectMissing { return .absent("there is no \(place)") }
            let known = Self.managers.intersection(statusManagers).sorted()
            return known.first.map { .live("\($0) wrote the status of Receivers, and \(place) cannot be read") }
                ?? .absent("nobody else wrote the status of a Receiver, and \(place) cannot be read")
        }
    }

    private func judge(_ renewTime: String, _ place: String) -> Answer {
        seen.withLock { seen in
            let now = ContinuousClock.now
            if let known = seen {
                if known.renewTime != renewTime { seen = Seen(renewTime: renewTime, changedAt: now) }
            } else {
                // At first sight only its own clock tells how old it is.
                let age = Self.age(renewTime) ?? 0
                seen = Seen(renewTime: renewTime, changedAt: now - .seconds(min(max(age, 0), 3_600)))
            }
            let isLive = seen.map { now - $0.changedAt < Self.staleAfter } ?? false
            return isLive ? .live("\(place) is being renewed") : .absent("\(place) is no longer renewed")
        }
    }

    private static func age(_ renewTime: String) -> Int? {
        let whole = renewTime.split(separator: ".").first.map { $0.hasSuffix("Z") ? String($0) : $0 + "Z" }
        guard let date = whole.flatMap({ try? Date($0, strategy: .iso8601) }) else { return nil }
        return Int(Date.now.timeIntervalSince(date))
    }
}
