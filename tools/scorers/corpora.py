"""The samples whose scores are compared: (candidate, references)."""
import random

EVERYDAY = [
    ("A man riding a wave on a surfboard.", ["A man rides a wave on top of a surfboard.", "The surfer is riding a big wave.", "A person surfing in the ocean", "a man surfing on a wave", "Man on surfboard riding a wave in the sea."]),
    ("Two dogs aren't playing in the snow", ["Two dogs are playing in the snow!", "A couple of dogs that play in snow", "Dogs running through the snow.", "two black-and-white dogs in the snow", "Two dogs playing"]),
    ("a cat sitting on top of a wooden bench", ["A cat sits on a bench."]),
    ("a a a a a a a", ["a cat and a dog", "a bird"]),
    ("the the the cat the cat", ["the cat is on the mat", "there is a cat on the mat"]),
    ("", ["a red ring", "there is a red ring"]),
    ("", [""]),
    ("cat", ["cat", "a cat"]),
    ("a cat", ["a cat"]),
    ("a red ring", ["a red ring", "there is a red ring", "red ring a", "the image show a red ring", "there are a red ring"]),
    ("ring", ["a large red circle in the top left"]),
    ("words that nobody else has written anywhere", ["a plate of food on a table"]),
    ("a plate of food on a table on a plate of food on a table on a plate of food", ["a plate of food on a table", "food on a plate"]),
    ("A bowl with 1 1/2 cups of rice.", ["A bowl with 1 1/2 cups of rice", "1 ½ cups of rice (cooked)", "rice"]),
    ("Une café naïve, 北京 – “quoted”", ["une café naïve 北京", "a naïve café in 北京"]),
    ("A man's bike (and a woman's) is parked; it isn't locked", ["The man's bike is parked.", "Bikes that aren't locked"]),
    (". , !", ["a dog", "."]),
    ("a dog", ["a", "a b c", "a dog b c d e f"]),
    ("a b c d", ["a b c", "a b c d e"]),
]


def one_sample():
    """Without other samples no n-gram is rare."""
    return [EVERYDAY[0]]


def scenes(count, seed):
    """Made-up captions of simple pictures, with near misses: long ties, shared words, five references."""
    draw = random.Random(seed)
    thing = lambda: (draw.choice(["small", "large"]), draw.choice(["red", "green", "blue", "white"]), draw.choice(["ring", "cross", "circle"]))
    samples = []
    for _ in range(count):
        first, second, place = thing(), thing(), draw.choice(["left of", "right of", "above", "below"])
        name = lambda parts: "a " + " ".join(parts)
        canonical = f"{name(first)} {place} {name(second)}"
        references = [canonical, f"there is {canonical}", f"{name(second)} and {name(first)}", f"the image show {canonical}", f"there is {name(second)}"]
        wrong = f"{name(first)} {place} {name(thing())}"
        samples.append((draw.choice([canonical, wrong, name(first), f"{canonical} with a box", f"{name(first)} {name(first)}"]), references))
    return samples


CORPORA = {"everyday": EVERYDAY, "one sample": one_sample(), "scenes": scenes(40, 1)}
