"""The training texts of the spam model: short messages, written for this project and put together from templates.

Nobody's mail is in here, and so nothing is known of how the model does on real mail; it is there to show text going in
and a label coming out. One template in five is kept for the test: the accuracy is that on sentences whose wording the
model has never seen, although the words in their gaps may be the same.
"""

import random

TEST_EVERY = 5
MESSAGES_PER_TEMPLATE = 12

GAPS = {
    "name": ["Anna", "Jonas", "Mira", "Tom", "Lena", "Paul", "Sofia", "Max", "Ida", "Ben", "Omar", "Yuki"],
    "day": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "tomorrow", "next week", "tonight"],
    "hour": ["9", "10:30", "12:15", "14:00", "3 pm", "half past six", "19:45", "noon"],
    "place": ["the office", "the station", "the library", "Marie's", "the gym", "room 204", "the market", "school"],
    "thing": ["report", "slides", "invoice", "keys", "contract", "photos", "recipe", "charger", "book", "draft"],
    "amount": ["$500", "$1,000", "£250", "€5000", "$1,000,000", "£90", "€199", "$49.99"],
    "prize": ["phone", "tablet", "cruise", "gift card", "holiday", "laptop", "car", "voucher", "television"],
    "url": [
        "http://win-now.example",
        "www.best-deal.example/claim",
        "https://bit.example/x7Qa",
        "http://promo.example",
    ],
    "phone": ["08001234567", "0900 555 12", "+44 7700 900123", "555-0142", "87021"],
    "code": ["WIN42", "FREE2DAY", "LUCKY7", "VIP100", "SAVE90"],
    "brand": ["MegaBank", "PayQuick", "ShopStar", "NetBox", "CryptoMax", "ParcelGo"],
}

HAM = [
    "Hi {name}, are we still meeting at {place} on {day}?",
    "Running ten minutes late, see you at {hour}",
    "Can you send me the {thing} before {day} please?",
    "I left the {thing} on your desk, {name} will pick it up",
    "Thanks for dinner last night, it was lovely to see you all",
    "{name} asked whether you could bring the {thing} {day}",
    "The train is delayed again, I will be at {place} around {hour}",
    "Happy birthday {name}! Hope you have a wonderful day",
    "Could we move our call from {hour} to {hour}? Sorry about that",
    "Mum says dinner is at {hour}, do not be late :)",
    "I have read the {thing} and added a few comments, have a look when you can",
    "What did the doctor say? Call me when you are home",
    "Just got out of the meeting, the {thing} looks good to everyone",
    "Do we need milk? I am at {place} now",
    "Lecture on {day} is cancelled, the professor is ill",
    "Where did you park? I am waiting in front of {place}",
    "{name} and I are going to the cinema {day}, want to come along?",
    "Please review the {thing} when you find the time, no hurry",
    "The plumber comes {day} at {hour}, could you be home then?",
    "I am so tired today, barely slept because of the storm",
    "Here are the notes from {day}: {url}",
    "Don't forget your {thing}, it is on the kitchen table",
    "Good morning! Did you sleep well after the long drive?",
    "Our flight lands at {hour}, no need to pick us up",
    "The kids have training until {hour}, I can drive them to {place}",
    "Ok, see you {day} then. Say hello to {name}",
    "I think the heating is broken again, it is freezing in here",
    "Did {name} tell you about the exam? We both passed!",
    "Sorry, I missed your call, I was in the shower. What's up?",
    "Let me know when you get there so that I don't worry",
    "The build is green again, I will merge the {thing} after lunch",
    "My new number is {phone}, please delete the old one",
    "I owe you {amount} for the tickets, will pay you back {day}",
    "Which bus goes from {place} to the old town?",
    "Could you water the plants while we are away? Back {day}",
    "We ran out of coffee at {place}, anybody going shopping?",
    "Not sure that I can make it at {hour}, my sister is visiting",
    "Looks like rain {day}, shall we play indoors instead?",
    "{name} has a fever, so we stay at home {day}",
    "That was a great game yesterday, same time {day}?",
]

SPAM = [
    "CONGRATULATIONS! You have won a {prize} worth {amount}! Claim now at {url}",
    "URGENT: your {brand} account has been suspended. Verify your details at {url}",
    "Free entry! Text {code} to {phone} to win {amount} cash",
    "You have been selected for an exclusive {prize}. Call {phone} now to claim",
    "Earn {amount} a week working from home, no experience needed! {url}",
    "Cheap meds without prescription, order today and save 80% {url}",
    "Last chance! Your {prize} offer expires today. Reply {code} to claim your prize",
    "Dear customer, your {brand} parcel is on hold, pay the fee of {amount} here: {url}",
    "WINNER!! As a valued customer you have been chosen to receive {amount}. Call {phone}",
    "Get a loan of {amount} today, no credit check, guaranteed approval! Apply at {url}",
    "Hot singles in your area want to meet you, join free now {url}",
    "Your mobile number was drawn in our {brand} lottery, claim code {code}, call {phone}",
    "Double your bitcoin in 24 hours, guaranteed profit! Invest {amount} at {url}",
    "Limited offer: 90% discount on all {brand} products, click {url} before midnight",
    "Your invoice is overdue! Avoid legal action, pay {amount} immediately at {url}",
    "FREE {prize}!!! Just pay shipping. Order now with code {code} at {url}",
    "We tried to reach you about your unclaimed {amount} refund, confirm at {url}",
    "Lose 10 kg in 2 weeks with this miracle pill! Buy now {url}",
    "Security alert: unusual login to your {brand} account, click {url} to secure it now",
    "Act now! Only 3 {prize} left, claim yours free at {url}",
    "Congratulations, you qualify for a {amount} cash bonus! Text {code} to {phone}",
    "Final notice: your {brand} subscription ends today, update your payment at {url}",
    "Make money fast! {amount} every day, click here {url} to start now",
    "You are our lucky winner this week! Call {phone} to collect your {prize}",
    "Exclusive casino bonus: {amount} free to play now at {url}",
    "Your tax refund of {amount} is ready, submit your bank details at {url}",
    "Unlock your free {prize} now, reply {code}. Terms apply, text STOP to end",
    "Dear winner, your email won {amount} in the {brand} draw, send your bank details to claim",
    "Buy followers cheap! 10000 for only {amount}, order now {url}",
    "Your account will be closed today unless you verify your password at {url}",
    "Private message waiting for you, call {phone} now, only 1.50 per minute",
    "Special promotion for you: free {prize} with every order over {amount}, click {url}",
    "Claim your guaranteed {amount} reward before it expires! Call {phone} today",
    "Cut your insurance bill in half, free quote now at {url}",
    "Investment opportunity: {brand} returns 300% guaranteed, limited places, apply at {url}",
    "Your {prize} is waiting! Confirm your address and pay {amount} delivery at {url}",
    "Text {code} to {phone} for free ringtones and win a {prize}",
    "You have 1 new voice message from {brand}, listen now at {url}",
    "Dear friend, I am a lawyer with a transfer of {amount} for you, reply with your bank details",
    "Upgrade to the new {prize} for free, offer ends tonight! {url}",
]


def messages() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The (text, label) pairs to train on and those to test on, the same ones at every call."""
    chance = random.Random(20)
    train, test = [], []
    for label, templates in (("ham", HAM), ("spam", SPAM)):
        for index, template in enumerate(templates):
            part = test if index % TEST_EVERY == TEST_EVERY - 1 else train
            part.extend((_filled(template, chance), label) for _ in range(MESSAGES_PER_TEMPLATE))
    chance.shuffle(train)
    chance.shuffle(test)
    return train, test


def _filled(template: str, chance: random.Random) -> str:
    for gap, words in GAPS.items():
        while "{" + gap + "}" in template:
            template = template.replace("{" + gap + "}", chance.choice(words), 1)
    return template
