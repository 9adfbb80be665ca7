import EventLoop
import Testing

@Suite("TimerWheel")
struct TimerWheelTests {
    private func expired(_ wheel: inout TimerWheel, now: UInt64) -> Set<UInt32> {
        var slots: Set<UInt32> = []
        while let slot = wheel.nextExpired(now: now) {
            #expect(slots.insert(slot).inserted)
        }
        return slots
    }

    @Test("fires at the deadline, not before, and at most one tick late")
    func punctual() {
        var wheel = TimerWheel(capacity: 4, now: 1_000)
        wheel.setDeadline(2_000, slot: 1)
        #expect(expired(&wheel, now: 1_999) == [])
        #expect(expired(&wheel, now: 2_000 + TimerWheel.tickMilliseconds) == [1])
        #expect(expired(&wheel, now: 10_000) == [])
    }

    @Test("a deadline moved later waits, one moved earlier comes, one cleared never")
    func moved() {
        var wheel = TimerWheel(capacity: 4, now: 0)
        for slot in 0..<3 { wheel.setDeadline(1_000, slot: UInt32(slot)) }
        wheel.setDeadline(5_000, slot: 0)
        wheel.setDeadline(500, slot: 1)
        wheel.setDeadline(nil, slot: 2)
        #expect(expired(&wheel, now: 600) == [1])
        #expect(expired(&wheel, now: 1_200) == [])
        #expect(expired(&wheel, now: 5_100) == [0])
    }

    @Test("deadlines beyond one round of the wheel and long jumps of the clock")
    func farAway() {
        var wheel = TimerWheel(capacity: 2, now: 0)
        wheel.setDeadline(400_000, slot: 0)
        #expect(expired(&wheel, now: 399_000) == [])
        #expect(expired(&wheel, now: 900_000) == [0])
    }

    @Test("agrees with a dictionary under random moves", arguments: 0..<10)
    func model(seed: Int) {
        var state = UInt64(seed) &* 0x9e37_79b9_7f4a_7c15 &+ 1
        func random(_ bound: UInt64) -> UInt64 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state % bound
        }
        var wheel = TimerWheel(capacity: 64, now: 0)
        var model: [UInt32: UInt64] = [:]
        var now: UInt64 = 0
        for _ in 0..<5_000 {
            let slot = UInt32(random(64))
            if random(5) == 0 {
                wheel.setDeadline(nil, slot: slot)
                model[slot] = nil
            } else {
                let deadline = now + random(100_000)
                wheel.setDeadline(deadline, slot: slot)
                model[slot] = deadline
            }
            now += random(300)
            for slot in expired(&wheel, now: now) {
                let deadline = model.removeValue(forKey: slot)
                #expect(deadline != nil && deadline! <= now)
            }
            for (_, deadline) in model { #expect(deadline + 2 * TimerWheel.tickMilliseconds > now) }
        }
    }
}
