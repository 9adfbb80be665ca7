// LeaseRecord: the part of a Lease that elections are about. What else the object holds is kept as it is.
//
// Source of truth: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/

import Foundation

/// A Lease as the API server gave it, or a new one.
struct LeaseRecord {
    struct Unreadable: Error {}

    /// What tells one state of a lease from another; no clock of another machine is ever compared.
    struct Observed: Equatable {
        var holder: String
        var transitions: Int
        var renewTime: String
        var acquireTime: String
        var leaseSeconds: Int
    }

    private var object: [String: Any]
    private var spec: [String: Any]

    init(json: Data) throws(Unreadable) {
        guard let object = (try? JSONSerialization.jsonObject(with: json)) as? [String: Any],
            object["metadata"] is [String: Any]
        else { throw Unreadable() }
        self.object = object
        spec = object["spec"] as? [String: Any] ?? [:]
    }

    init(namespace: String, name: String) {
        object = [
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": ["name": name, "namespace": namespace],
        ]
        spec = [:]
    }

    var observed: Observed {
        Observed(
            holder: spec["holderIdentity"] as? String ?? "", transitions: spec["leaseTransitions"] as? Int ?? 0,
            renewTime: spec["renewTime"] as? String ?? "", acquireTime: spec["acquireTime"] as? String ?? "",
            leaseSeconds: spec["leaseDurationSeconds"] as? Int ?? 0)
    }

    /// Ours from `now` on, or still ours.
    mutating func hold(_ identity: String, seconds: Int, now: Date = Date()) {
        let before = observed
        if before.holder != identity {
            spec["acquireTime"] = Self.text(now)
            spec["leaseTransitions"] = before.holder.isEmpty && before.renewTime.isEmpty ? 0 : before.transitions &+ 1
        }
        spec["holderIdentity"] = identity
        spec["leaseDurationSeconds"] = seconds
        spec["renewTime"] = Self.text(now)
    }

    /// Nobody's: the next candidate may take it at once.
    mutating func release(now: Date = Date()) {
        spec["holderIdentity"] = ""
        spec["leaseDurationSeconds"] = 1
        spec["renewTime"] = Self.text(now)
        spec["acquireTime"] = Self.text(now)
    }

    /// With the resourceVersion that it was read with, so that a change in between is a conflict.
    var json: [UInt8] {
        var whole = object
        whole["spec"] = spec
        return (try? JSONSerialization.data(withJSONObject: whole)).map { [UInt8]($0) } ?? []
    }

    /// MicroTime: RFC 3339 with six digits of a second, UTC.
    static func text(_ date: Date) -> String {
        let seconds = date.timeIntervalSince1970.rounded(.down)
        let micros = min(999_999, max(0, Int((date.timeIntervalSince1970 - seconds) * 1e6)))
        let whole = ISO8601DateFormatter().string(from: Date(timeIntervalSince1970: seconds))
        let digits = String(micros)
        return whole.dropLast() + "." + String(repeating: "0", count: 6 - digits.count) + digits + "Z"
    }
}
