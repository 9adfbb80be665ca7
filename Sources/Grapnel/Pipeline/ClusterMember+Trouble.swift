// ClusterMember+Trouble: triggers that fail, as Events on their receiver. Answers come before actions, so this is how a team sees it.

internal import Cluster
internal import Trigger

extension ClusterMember {
    /// From the dispatcher's thread; never waits.
    func warn(_ trouble: TriggerTrouble) {
        let what = [trouble.action, trouble.target].filter { !$0.isEmpty }.joined(separator: " ")
        let prefix = what.isEmpty ? "" : "\(what): "
        warn(
            trouble.route, reason: trouble.isDead ? "TriggerDead" : "TriggerFailed",
            message: trouble.isDead
                ? "\(prefix)given up: \(trouble.reason)" : "\(prefix)will be tried again: \(trouble.reason)")
    }
}
